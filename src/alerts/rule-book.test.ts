import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openControl } from '../control/sqlite-control.ts'
import { compilePipeline, compileRule } from '../pipeline/compile.ts'
import { nodeWorld } from '../world/node-world.ts'
import { MemoryRuleLog } from './rule-log-fixture.ts'
import { openRuleBook } from './rule-book.ts'

const folder = mkdtempSync(join(tmpdir(), 'weir-rules-'))
after(() => rmSync(folder, { recursive: true }))

const HOT = { when: 'temperature > 80', for: '30s', severity: 'critical' }
const TYPES = { pump: { schemas: { 1: { temperature: { unit: '°C' } } } } }
const OF_DEFINITION = { id: 'fixed', when: 'temperature > 90' }
const PLAN = compilePipeline({ version: 1, types: TYPES, rules: [OF_DEFINITION] })

let files = 0
const newPath = (): string => join(folder, `${++files}.db`)

function openRules(
  path = newPath(),
  log = new MemoryRuleLog(),
  { plan, ofDefinition } = { plan: PLAN, ofDefinition: [OF_DEFINITION] },
) {
  const control = openControl({ path, world: nodeWorld })
  const problems: string[] = []
  const timers: (() => void)[] = []
  const rules = openRuleBook({
    ...{ database: control.database, publisher: log, ofDefinition },
    clock: {
      ...nodeWorld.clock,
      after(_, callback) {
        timers.push(callback)
        return () => void timers.splice(timers.indexOf(callback), 1)
      },
    },
    compile: (definition) => compileRule(definition, plan),
    onProblem: (problem) => problems.push(problem),
  })
  return {
    ...{ path, log, rules, problems, timers, database: control.database },
    async close() {
      rules.close()
      await control.close()
    },
  }
}

const published = async ({ database }: ReturnType<typeof openRules>): Promise<string[]> =>
  (await database.select('definition', 'ORDER BY id', [])).map(
    (row) => `${String(row['id'])}@${String(row['published'])}`,
  )

test('a rule runs once put() resolved, as the version that its revision is', async () => {
  const opened = openRules()
  const { rules, log } = opened
  assert.equal((await rules.put('default', 'hot', HOT, 0)).revision, 1)
  assert.deepEqual(log.running, ['hot@1'])
  await rules.put('default', 'hot', { ...HOT, when: 'temperature > 85' }, 1)
  assert.deepEqual(log.running, ['hot@2'])
  assert.equal(await rules.remove('default', 'hot', 2), true)
  assert.deepEqual(log.running, [])
  await rules.put('default', 'hot', HOT, 0)
  assert.deepEqual(log.running, ['hot@4'], 'above what the stream knows of the removed one')
  assert.deepEqual(await published(opened), ['hot@4'])
  await opened.close()
})

test('a rule that does not compile, or is of the definition, is neither stored nor published', async () => {
  const opened = openRules()
  const { rules, log } = opened
  const wrong: [string, object, string][] = [
    ['a', { ...HOT, type: 'pump', when: 'tmp > 1' }, 'PIPELINE_RULE_INVALID'],
    ['a', { ...HOT, type: 'fan' }, 'PIPELINE_DEFINITION_INVALID'],
    ['a', { ...HOT, whenn: 'x' }, 'PIPELINE_DEFINITION_INVALID'],
    ['a b', HOT, 'PIPELINE_DEFINITION_INVALID'],
    ['', HOT, 'PIPELINE_DEFINITION_INVALID'],
    ['fixed', HOT, 'RULE_OF_DEFINITION'],
  ]
  for (const [id, text, code] of wrong)
    await assert.rejects(rules.put('default', id, text), { code })
  assert.deepEqual(await rules.list('default', { limit: 10 }), [])
  assert.deepEqual(log.parts, [])
  await opened.close()
})

test('a log that takes nothing is heard of, and the rule runs as soon as it does', async () => {
  const opened = openRules()
  const { rules, log, timers } = opened
  log.isFull = true
  await assert.rejects(rules.put('default', 'hot', HOT, 0), { code: 'LOG_DISK_FULL' })
  await assert.rejects(rules.put('default', 'wet', HOT, 0), { code: 'LOG_DISK_FULL' })
  assert.deepEqual(await published(opened), ['hot@0', 'wet@0'])
  assert.equal(timers.length, 1)
  const runTimer = async (): Promise<void> => {
    timers.shift()!()
    const isDone = async (): Promise<boolean> => (await published(opened)).join() === 'hot@1,wet@1'
    while (timers.length === 0 && !(await isDone())) await new Promise(setImmediate)
  }
  await runTimer()
  assert.equal(timers.length, 1, 'and once more')
  log.isFull = false
  await runTimer()
  assert.deepEqual(log.running, ['hot@1', 'wet@1'])
  await opened.close()
})

test('what a crash left between store and log is published at the next start', async () => {
  const { rules, log, close, path } = openRules()
  await rules.put('default', 'hot', HOT)
  await rules.put('default', 'wet', HOT)
  await rules.put('default', 'old', HOT)
  log.isFull = true
  await assert.rejects(rules.put('default', 'hot', HOT))
  await assert.rejects(rules.put('default', 'new', HOT))
  await assert.rejects(rules.remove('default', 'old'))
  await close()
  log.isFull = false
  const again = openRules(path, log)
  await again.rules.publishAll()
  assert.deepEqual(log.running, ['hot@2', 'new@1', 'wet@1'])
  assert.deepEqual(await published(again), ['hot@2', 'new@1', 'old@2', 'wet@1'])
  await again.close()
})

test('a stream that knows nothing, or what nobody knows, knows the same after a start', async () => {
  const { rules, close, path } = openRules()
  await rules.put('default', 'hot', HOT)
  await close()
  const log = new MemoryRuleLog()
  await log.publish([{ put: { id: 'ghost', version: 7 } }])
  const again = openRules(path, log)
  await again.rules.publishAll()
  assert.deepEqual(log.running, ['hot@1'])
  await again.close()
})

test('many rules go into the log in parts, and a list of all ends them', async () => {
  const { rules, close, path, log: first } = openRules()
  const summary = 'x'.repeat(990)
  const ids = Array.from({ length: 450 }, (_, at) => `r${at}`)
  await Promise.all(ids.map((id) => rules.put('default', id, { ...HOT, summary })))
  assert.equal(first.running.length, 450)
  await close()
  const log = new MemoryRuleLog()
  const again = openRules(path, log)
  await again.rules.publishAll()
  assert.deepEqual(log.running, first.running)
  for (const part of log.parts.slice(0, -1)) {
    assert.ok(part.length <= 200)
    assert.ok(JSON.stringify(part).length < 210_000)
  }
  assert.equal(log.parts.at(-1)!.length, 1)
  assert.ok('retain' in log.parts.at(-1)![0]!)
  await again.close()
})

test('a rule that another plan cannot run stays stored and does not run', async () => {
  const { rules, close, path, log } = openRules()
  await rules.put('default', 'typed', { ...HOT, type: 'pump' })
  await rules.put('default', 'any', HOT)
  await rules.put('default', 'taken', HOT)
  await close()
  const ofDefinition = [{ ...OF_DEFINITION, id: 'taken' }]
  const plan = compilePipeline({ version: 1, rules: ofDefinition })
  const again = openRules(path, log, { plan, ofDefinition })
  await again.rules.publishAll()
  assert.deepEqual(log.running, ['any@1'])
  assert.equal(again.problems.length, 1)
  assert.match(again.problems[0]!, /typed is left out: .*pump/)
  assert.equal((await again.rules.list('default', { limit: 10 })).length, 3)
  // What the definition has by now is not removed by what was edited here.
  assert.equal(await again.rules.remove('default', 'taken'), true)
  assert.ok(!JSON.stringify(log.parts).includes('"remove":{"id":"taken"'))
  await again.close()
})

test('what another process puts while all is published runs in the end', async () => {
  const opened = openRules()
  const { rules, log, path } = opened
  for (const id of ['a', 'b', 'gone']) await rules.put('default', id, HOT)
  const other = openRules(path, log)
  let isEdited = false
  log.beforeAppend = async (change) => {
    if (!('retain' in change) || isEdited) return
    isEdited = true
    await other.rules.put('default', 'new', HOT)
    await other.rules.put('default', 'b', HOT)
    await other.rules.remove('default', 'gone')
  }
  await rules.publishAll()
  assert.equal(isEdited, true)
  const running = log.running.map((one) => one.split('@')[0])
  assert.deepEqual(running, ['a', 'b', 'new'])
  for (const { id, revision } of await rules.list('default', { limit: 10 }))
    assert.ok(log.running.includes(`${id}@${revision}`))
  await other.close()
  await opened.close()
})
