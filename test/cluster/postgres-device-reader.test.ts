import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import pg from 'pg'
import { testDeviceReader } from '../../src/control/device-reader.conformance.ts'
import { openPostgresControl } from '../../src/control/postgres-control.ts'
import { openPostgresDeviceReader } from '../../src/control/postgres-device-reader.ts'
import type { RemoteReaderOptions } from '../../src/control/remote-device-reader.ts'
import { nodeWorld as world } from '../../src/world/node-world.ts'
import { until } from '../system/weir-process.ts'
import { accessOf, killService, restartService } from './cluster.ts'

const url = accessOf('postgres')?.['url'] ?? ''
const skip = url === '' ? 'PostgreSQL does not run: npm run -s cluster:up -- postgres' : undefined

let schemas = 0
const nameOf = (number: number): string => `weir_reader_${process.pid}_${number}`

async function ask(text: string, values: unknown[] = []): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(text, values)
  } finally {
    await client.end()
  }
}

after(async () => {
  if (skip !== undefined) return
  for (let number = 1; number <= schemas; number++)
    await ask(`DROP SCHEMA IF EXISTS ${nameOf(number)} CASCADE`)
})

async function createBench(options: Partial<RemoteReaderOptions> = {}) {
  const schema = nameOf(++schemas)
  const access = { url, schema }
  const control = await openPostgresControl({ access, world })
  const reader = openPostgresDeviceReader({ access, world, options })
  return {
    ...{ reader, control, schema },
    remove: (id: string) => ask(`DELETE FROM ${schema}.device WHERE id = $1`, [id]),
    async close() {
      await reader.close()
      await control.close()
    },
  }
}

testDeviceReader({ name: 'PostgreSQL', skip, createBench: () => createBench() })

test('hundreds that ask at once are a statement or two', { skip }, async () => {
  const bench = await createBench()
  const { reader, control } = bench
  const { token } = await control.createDevice('default', { id: 'd7', type: 'generic' })
  const asked = Array.from({ length: 500 }, (_, index) =>
    Promise.resolve(reader.prepare('default', [`d${index}`], { token })),
  )
  await Promise.all(asked)
  assert.equal(reader.authenticate('default', 'd7', token)?.id, 'd7')
  assert.deepEqual(reader.statistics, { questions: 1, failures: 0 })
  await bench.close()
})

test('a column that a later version adds disturbs no statement', { skip }, async () => {
  const bench = await createBench({ notFoundMs: 1, questionsMax: 1 })
  await bench.reader.prepare('default', ['a'])
  await ask(`ALTER TABLE ${bench.schema}.device ADD COLUMN more TEXT`)
  await bench.control.createDevice('default', { id: 'a', type: 'generic' })
  await bench.reader.prepare('default', ['a'], { isNew: true })
  assert.equal(bench.reader.find('default', 'a')?.id, 'a')
  await bench.close()
})

test('a registry that is not there is named in time, and its password is not', async () => {
  const reader = openPostgresDeviceReader({
    access: { url: 'postgresql://weir:s3cr3t@127.0.0.1:1/weir', schema: 'weir' },
    world,
  })
  await assert.rejects(
    async () => reader.prepare('default', ['a']),
    (error: Error) => {
      assert.equal((error as { code?: string }).code, 'CONTROL_UNAVAILABLE')
      assert.doesNotMatch(error.message, /s3cr3t/)
      return true
    },
  )
  await reader.close()
})

test('a table that is locked: the answer is late, and the question ends', { skip }, async () => {
  const bench = await createBench({ timeoutMs: 400, foundMs: 1000 })
  const { reader, schema } = bench
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`BEGIN; LOCK TABLE ${schema}.device`)
  const beganMs = performance.now()
  await assert.rejects(async () => reader.prepare('default', ['a']), {
    code: 'CONTROL_UNAVAILABLE',
  })
  assert.ok(performance.now() - beganMs < 5000, 'although the machine is busy')
  await client.query('ROLLBACK')
  await client.end()
  await reader.prepare('default', ['a'])
  assert.equal(reader.find('default', 'a'), undefined)
  await bench.close()
})

test('PostgreSQL killed and back: who was found goes on, the others wait', { skip }, async () => {
  const bench = await createBench({ foundMs: 1000, timeoutMs: 500, awayMs: 60_000 })
  const { reader, control } = bench
  const { token } = await control.createDevice('default', { id: 'a', type: 'generic' })
  await control.createDevice('default', { id: 'b', type: 'generic' })
  const isTaken = async (): Promise<boolean> => {
    await reader.prepare('default', ['a'], { token })
    return reader.authenticate('default', 'a', token) !== undefined
  }
  await until('PostgreSQL answers', isTaken, 10_000)
  await killService('postgres')
  try {
    const endMs = performance.now() + 2500
    while (performance.now() < endMs) {
      assert.equal(await isTaken(), true)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    assert.ok(reader.statistics.failures > 0, 'it was asked for again')
    await assert.rejects(async () => reader.prepare('default', ['b']), {
      code: 'CONTROL_UNAVAILABLE',
    })
  } finally {
    await restartService('postgres')
  }
  const isBack = async (): Promise<boolean> => {
    await reader.prepare('default', ['b'])?.catch(() => undefined)
    return reader.find('default', 'b') !== undefined
  }
  await until('it answers again', isBack, 20_000)
  assert.equal(await isTaken(), true)
  await bench.close()
})
