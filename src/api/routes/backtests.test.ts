import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { test, type TestContext } from 'node:test'
import { WeirError } from '../../errors/errors.ts'
import { open, startBench } from '../testing/api-bench.ts'

const POST = 'POST /v1/rules/backtest'
const RULE = { when: 'temperature > 80' }
const DAY_MS = 86_400_000

async function start(t: TestContext) {
  const bench = await startBench()
  t.after(() => bench.close())
  return bench
}

const linesOf = (text: string): any[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)

async function untilEnd(incoming: IncomingMessage): Promise<any[]> {
  let text = ''
  for await (const piece of incoming) text += String(piece)
  return linesOf(text)
}

test('a rule is tried on the last days, with progress before the report', async (t) => {
  const bench = await start(t)
  const { backtests, port, admin: key, clock } = bench
  const endMs = clock.nowUs() / 1000
  const incoming = await open(port, POST, { key, body: { rule: RULE, days: 2 } })
  assert.equal(incoming.headers['content-type'], 'application/x-ndjson; charset=utf-8')
  backtests.give({ blocks: [], devicesDone: 3, devicesTotal: 7, completeness: 0.5 })
  const [line] = (await once(incoming, 'data')) as [Buffer]
  const [first] = linesOf(String(line))
  assert.deepEqual(first, { progress: { readings: 0, devices_done: 3, devices_total: 7 } })
  backtests.give(undefined)
  const [{ report }] = await untilEnd(incoming)
  assert.deepEqual([report.start, report.end], [endMs - 2 * DAY_MS, endMs])
  assert.deepEqual([report.devices, report.completeness], [7, 0.5])
  const [rule] = report.rules
  assert.deepEqual([rule.rule_id, rule.alerts, rule.days.length], ['rule-1', 0, 2])
})

test('what is wrong is told before anything starts', async (t) => {
  const { call, admin: key, backtests } = await start(t)
  const post = (body: object) => call(POST, { key, body })
  const typo = await post({ rule: { when: 'temprature > 80', type: 'pump' } })
  assert.deepEqual([typo.status, typo.json.code], [422, 'PIPELINE_RULE_INVALID'])
  assert.match(typo.json.detail, /did you mean "temperature"/)
  assert.equal((await post({ rule: 'none' })).json.code, 'API_NOT_FOUND')
  assert.equal((await post({})).json.code, 'API_BODY_INVALID')
  assert.equal((await post({ rule: RULE, days: 0 })).json.code, 'API_BODY_INVALID')
  assert.equal((await call(POST, { body: { rule: RULE } })).status, 401)
  assert.equal(backtests.isRunning, false)
})

test('one at a time: the next waits, and has its turn when the client goes', async (t) => {
  const { call, admin: key, backtests, port } = await start(t)
  const incoming = await open(port, POST, { key, body: { rule: RULE } })
  const second = await call(POST, { key, body: { rule: RULE } })
  assert.deepEqual([second.status, second.json.code], [429, 'BACKTEST_RUNNING'])
  assert.ok(second.headers['retry-after'])
  incoming.on('error', () => {})
  incoming.destroy()
  const endMs = Date.now() + 5000
  while (backtests.isRunning && Date.now() < endMs) await new Promise(setImmediate)
  assert.equal(backtests.isRunning, false, 'it ends with its client')
})

test('a scan that fails is the last line, by its code', async (t) => {
  const { admin: key, backtests, port } = await start(t)
  const incoming = await open(port, POST, { key, body: { rules: [RULE, RULE] } })
  backtests.fail(new WeirError('STORAGE_UNAVAILABLE'))
  const [{ problem }] = await untilEnd(incoming)
  assert.deepEqual([problem.code, problem.status], ['STORAGE_UNAVAILABLE', 503])
  assert.deepEqual(
    backtests.question!.rules.map(({ id }) => id),
    ['rule-1', 'rule-2'],
  )
})

test('the registry is asked for what rules ask of devices, and only then', async (t) => {
  const { call, admin: key, backtests, createDevice } = await start(t)
  await createDevice('pump-1', { tags: { site: 'north' }, location: 'hall' })
  backtests.give(undefined)
  await call(POST, { key, body: { rule: RULE } })
  assert.equal(backtests.question!.facts.length, 0)
  backtests.give(undefined)
  await call(POST, { key, body: { rule: { ...RULE, tags: { site: 'north' } } } })
  assert.deepEqual(
    backtests.question!.facts.map(({ deviceId, tags }) => [deviceId, tags]),
    [['pump-1', { site: 'north' }]],
  )
})
