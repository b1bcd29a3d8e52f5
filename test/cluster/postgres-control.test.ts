import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { testControl } from '../../src/control/control.conformance.ts'
import { testDatabase } from '../../src/control/database.conformance.ts'
import { startWriter } from '../../src/control/database-writer-fixture.ts'
import { testSignIns } from '../../src/control/sign-ins.conformance.ts'
import { openPostgresControl, type PostgresControl } from '../../src/control/postgres-control.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { until } from '../system/weir-process.ts'
import { accessOf, killService, restartService } from './cluster.ts'

const url = accessOf('postgres')?.['url'] ?? ''
const skip = url === '' ? 'PostgreSQL does not run: npm run -s cluster:up -- postgres' : undefined

/** A schema for each store. */
let schemas = 0
const newSchema = (): string => `weir_test_${process.pid}_${++schemas}`
const open = (schema: string) => openPostgresControl({ access: { url, schema }, world: nodeWorld })

async function ask(text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

after(async () => {
  if (skip !== undefined) return
  for (let schema = 1; schema <= schemas; schema++)
    await ask(`DROP SCHEMA IF EXISTS weir_test_${process.pid}_${schema} CASCADE`)
})

testControl({
  name: 'PostgreSQL',
  isShared: true,
  skip,
  async createBench() {
    const schema = newSchema()
    return {
      open: () => open(schema),
      async contents() {
        const tables = ['device', 'admin_key'].map((table) =>
          ask(`SELECT * FROM ${schema}.${table}`),
        )
        const values = (await Promise.all(tables)).flat().flatMap((row) => Object.values(row))
        return values
          .map((value) => (Buffer.isBuffer(value) ? value.toString('latin1') : value))
          .join()
      },
    }
  },
})

testDatabase({
  name: 'PostgreSQL',
  isShared: true,
  skip,
  async createBench() {
    const schema = newSchema()
    return {
      open: async () => (await open(schema)).database,
      startWriter: () => startWriter({ url, schema }),
    }
  },
})

testSignIns({
  name: 'PostgreSQL',
  skip,
  async createBench() {
    const schema = newSchema()
    const opened: PostgresControl[] = []
    return {
      async open() {
        const control = await open(schema)
        opened.push(control)
        return control.signIns
      },
      async pass(durationMs) {
        const age = `expires_at = expires_at - ${durationMs} * interval '1 millisecond'`
        await ask(`UPDATE ${schema}.sign_in SET ${age}`)
      },
      async close() {
        await Promise.all(opened.map((control) => control.close()))
      },
    }
  },
})

test('of codes and sessions only hashes are stored', { skip }, async () => {
  const schema = newSchema()
  const control = await open(schema)
  const secrets = [await control.signIns.create('code'), await control.signIns.create('session')]
  const rows = await ask(`SELECT hash, kind, sign_in::text AS text FROM ${schema}.sign_in`)
  assert.equal(rows.length, secrets.length)
  const contents = rows.map(({ hash, text }) => (hash as Buffer).toString('latin1') + String(text))
  for (const secret of secrets) assert.ok(!contents.join('\n').includes(secret))
  await control.close()
})

test('a newer format is refused and left as it was', { skip }, async () => {
  const schema = newSchema()
  await (await open(schema)).close()
  await ask(`UPDATE ${schema}.control_version SET version = 99`)
  await assert.rejects(open(schema), { code: 'DATA_FORMAT_NEWER' })
  assert.deepEqual(await ask(`SELECT version FROM ${schema}.control_version`), [{ version: 99 }])
})

test('a server that is not there is named, and its password is not', async () => {
  const wrong = openPostgresControl({
    access: { url: 'postgresql://weir:s3cr3t@127.0.0.1:1/weir', schema: 'weir' },
    world: nodeWorld,
  })
  await assert.rejects(wrong, (error: Error & { code?: string }) => {
    assert.equal(error.code, 'CONTROL_UNAVAILABLE')
    assert.match(error.message, /127\.0\.0\.1:1/)
    assert.doesNotMatch(error.message, /s3cr3t/)
    return true
  })
})

test(
  'PostgreSQL killed and back: calls fail by name, nothing acknowledged is gone',
  { skip },
  async () => {
    const control = await open(newSchema())
    const created: string[] = []
    const failures = new Set<string>()
    let isOver = false
    const writing = (async () => {
      for (let number = 0; !isOver; number++) {
        const id = `device-${number}`
        try {
          await control.createDevice('default', { id, type: 'generic' })
          created.push(id)
        } catch (error) {
          failures.add((error as { code: string }).code)
          await delay(20)
        }
      }
    })()
    await delay(500)
    await killService('postgres')
    await assert.rejects(control.find('default', 'device-0'), { code: 'CONTROL_UNAVAILABLE' })
    const before = created.length
    await restartService('postgres')
    const goesOn = until('it goes on by itself', () => created.length >= before + 10, 20_000)
    await goesOn.finally(() => (isOver = true))
    await writing
    assert.ok(created.length >= before + 10, 'it goes on by itself')
    assert.deepEqual([...failures], ['CONTROL_WRITE_FAILED'])
    for (const id of created) assert.equal((await control.find('default', id))?.id, id)
    await control.close()
  },
)
