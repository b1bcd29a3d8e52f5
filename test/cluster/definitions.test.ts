/** Books of definitions where several processes edit them: PostgreSQL. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import pg from 'pg'
import { openRecipients } from '../../src/alerts/books.ts'
import { openRuleBook } from '../../src/alerts/rule-book.ts'
import { MemoryRuleLog } from '../../src/alerts/rule-log-fixture.ts'
import { openPostgresControl } from '../../src/control/postgres-control.ts'
import { compileRule, defaultPlan } from '../../src/pipeline/compile.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { accessOf } from './cluster.ts'

const url = accessOf('postgres')?.['url'] ?? ''
const skip = url === '' ? 'PostgreSQL does not run: npm run -s cluster:up -- postgres' : undefined
const SCHEMA = `weir_definitions_${process.pid}`

after(async () => {
  if (skip !== undefined) return
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`)
  await client.end()
})

/** A process that edits. */
async function openProcess(publisher = new MemoryRuleLog()) {
  const access = { url, schema: SCHEMA }
  const { database, close } = await openPostgresControl({ access, world: nodeWorld }).then(
    (control) => ({ database: control.database, close: () => control.close() }),
  )
  const options = { database, clock: nodeWorld.clock }
  const rules = openRuleBook({
    ...{ ...options, publisher, ofDefinition: [] },
    compile: (definition) => compileRule(definition, defaultPlan()),
  })
  return { rules, recipients: openRecipients({ ...options, endpoint: {} }), close }
}

const ME = { name: 'me', channels: [{ type: 'email' as const, to: 'me@example.org' }] }
const HOT = { when: 'temperature > 80' }

test('A6 of processes that edit one revision at once one wins', { skip }, async () => {
  const processes = await Promise.all([openProcess(), openProcess(), openProcess()])
  const { recipients } = processes[0]
  await recipients.put('default', 'a', ME, 0)
  for (let revision = 1; revision <= 10; revision++) {
    const edits = processes.map((one) => one.recipients.put('default', 'a', ME, revision))
    const answers = await Promise.allSettled(edits)
    const lost = answers.filter((answer) => answer.status === 'rejected')
    assert.equal(lost.length, processes.length - 1)
    for (const { reason } of lost)
      assert.equal((reason as { code: string }).code, 'CONTROL_REVISION_STALE')
  }
  assert.equal((await recipients.find('default', 'a'))?.revision, 11)
  await recipients.remove('default', 'a', 11)
  assert.deepEqual(await recipients.list('default', { limit: 10 }), [])
  assert.equal((await recipients.put('default', 'a', ME, 0)).revision, 13)
  await Promise.all(processes.map((one) => one.close()))
})

test('rules that are put while another process publishes all of them run', { skip }, async () => {
  const log = new MemoryRuleLog()
  const [one, other] = [await openProcess(log), await openProcess(log)]
  const ids = Array.from({ length: 250 }, (_, at) => `r${at}`)
  await Promise.all(ids.map((id) => one.rules.put('default', id, HOT)))
  let edits = 0
  log.beforeAppend = async (change) => {
    if ('retain' in change && edits++ === 0) await other.rules.put('default', 'new', HOT)
  }
  await one.rules.publishAll()
  const kept = await other.rules.list('default', { limit: 1000 })
  assert.equal(kept.length, 251)
  const expected = kept.map(({ id, revision }) => `${id}@${revision}`).toSorted()
  assert.deepEqual(log.running, expected)
  await Promise.all([one.close(), other.close()])
})
