import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileRule, defaultPlan } from '../pipeline/compile.ts'
import { defineSeries } from '../query/query-fixture.ts'
import type { ScanBlock, ScanStep } from '../query/query.ts'
import type { RuleEvent } from '../stream/stream.ts'
import { runBacktest, scanQuestionOf, type BacktestQuestion } from './backtest.ts'

const MINUTE_US = 60e6
const PLAN = defaultPlan()
const RULES = [
  { id: 'for', when: 'temperature > 80', for: '10m' },
  { id: 'mean', when: 'avg(temperature) > 70', window: '5m' },
  { id: 'silent', silent: { interval: '1m', count: 30 } },
  { id: 'off', when: 'mode == "off"', for: '3m' },
].map((rule) => compileRule(rule, PLAN))

const QUESTION: BacktestQuestion = {
  ...{ tenant: 'default', rules: RULES, plan: PLAN, facts: [] },
  ...{ startUs: 0, endUs: 2000 * MINUTE_US },
}

/** Rows [from, to) of a device's day; texts have numbers of each block's own. */
function blockOf(deviceId: string, [from, to]: [number, number], isLast: boolean): ScanBlock {
  const rows = Array.from({ length: to - from }, (_, at) => from + at)
  const isOff = (row: number): boolean => row % 100 > 90
  const numbers = { off: from + 7, on: from + 3 }
  return {
    series: [
      defineSeries(0, 'temperature', { deviceId }),
      defineSeries(1, 'mode', { deviceId, kind: 'text' }),
    ],
    texts: Object.entries(numbers).map(([text, id]) => [id, text]),
    count: rows.length * 2,
    timeUs: Float64Array.from(rows.flatMap((row) => [row, row])).map((row) => row * MINUTE_US),
    value: Float64Array.from(
      rows.flatMap((row) => [60 + (row % 60) / 2, isOff(row) ? numbers.off : numbers.on]),
    ),
    place: Uint16Array.from(rows.flatMap(() => [0, 1])),
    isLast,
  }
}

async function eventsOf(cuts: readonly number[]): Promise<readonly RuleEvent[]> {
  const found: RuleEvent[] = []
  const devices = ['a', 'b']
  async function* scan(): AsyncGenerator<ScanStep, void> {
    for (const [at, device] of devices.entries()) {
      for (const [index, to] of cuts.entries()) {
        const isLast = index === cuts.length - 1
        const blocks = [blockOf(device, [cuts[index - 1] ?? 0, to], isLast)]
        const devicesDone = isLast ? at + 1 : at
        yield { blocks, devicesDone, devicesTotal: devices.length, completeness: 1 }
      }
    }
  }
  await runBacktest(QUESTION, { scan: { scan }, onEvents: (events) => found.push(...events) })
  return found
}

test('a device that comes in several blocks is as one that comes in one', async () => {
  const whole = await eventsOf([1440])
  const rules = new Set(whole.map(({ ruleId }) => ruleId))
  assert.deepEqual([...rules].toSorted(), ['for', 'mean', 'off', 'silent'])
  // In the middle of what is pending, of a window, and of a text that goes on.
  const cut = await eventsOf([47, 48, 93, 95, 642, 1440])
  const withoutTexts = (event: RuleEvent): unknown => ({ ...event, values: {} })
  assert.deepEqual(cut.map(withoutTexts), whole.map(withoutTexts))
})

test('only what rules look at is read', () => {
  const asked = (...definitions: Parameters<typeof compileRule>[0][]) => {
    const rules = definitions.map((one) => compileRule(one, PLAN))
    const { metrics, deviceTypes, deviceIds } = scanQuestionOf({ ...QUESTION, rules })
    return { metrics, deviceTypes, deviceIds }
  }
  const hot = { id: 'hot', when: 'temperature > 80', type: 'generic', device: 'a' }
  const open = { id: 'open', when: 'door && temperature > 5' }
  const silent = { id: 'silent', silent: { interval: '1m', count: 3 } }
  assert.deepEqual(asked(hot), {
    ...{ metrics: ['temperature'], deviceTypes: ['generic'], deviceIds: ['a'] },
  })
  const both = asked(hot, open)
  assert.deepEqual(both.metrics?.toSorted(), ['door', 'temperature'])
  assert.deepEqual([both.deviceTypes, both.deviceIds], [undefined, undefined])
  assert.equal(asked(hot, silent).metrics, undefined)
})
