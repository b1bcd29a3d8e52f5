/** Runs a test of a pipeline definition: its readings through the stream's rules. */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { Plan, RuleTest } from '../pipeline/pipeline.ts'
import type { ScanBlock } from '../query/query.ts'
import { DeviceReplay } from './device-replay.ts'

/** `atUs` from the test's start. */
export type TestEvent = RuleTest['expected'][number]

export interface TestResult {
  isPassed: boolean
  /** What the rules said, in their order; without those that the test does not look at. */
  found: TestEvent[]
  /** Expected and not found, and the other way round; each in order. */
  missing: TestEvent[]
  unexpected: TestEvent[]
}

export function runRuleTest({ rules, time, windowsMs }: Plan, test: RuleTest): TestResult {
  const { startUs, endUs, device, expected } = test
  const watched = rules.filter(({ id }) => test.rules?.includes(id) ?? true)
  const block = blockOf(test)
  const options = { rules: watched, plan: { time, windowsMs }, startUs, endUs }
  const replay = new DeviceReplay(options, block.series, device)
  replay.add(block)
  const found = replay.finish().map(({ ruleId, state, triggeredAtUs, resolvedAtUs }) => ({
    ...{ ruleId, state, atUs: (resolvedAtUs ?? triggeredAtUs) - startUs },
  }))
  const missing = without(expected, found)
  const unexpected = without(found, expected)
  return { isPassed: missing.length + unexpected.length === 0, found, missing, unexpected }
}

const keyOf = ({ atUs, ruleId, state }: TestEvent): string => `${atUs} ${ruleId} ${state}`

/** One that is there twice in `events` and once in `others` is left once. */
function without(events: readonly TestEvent[], others: readonly TestEvent[]): TestEvent[] {
  const counts = new Map<string, number>()
  for (const one of others) counts.set(keyOf(one), (counts.get(keyOf(one)) ?? 0) + 1)
  return events.filter((one) => {
    const left = counts.get(keyOf(one)) ?? 0
    counts.set(keyOf(one), left - 1)
    return left <= 0
  })
}

function blockOf({ readings, device }: RuleTest): ScanBlock {
  const { tenant, deviceId, deviceType } = device
  const places = new Map<string, number>()
  const series: SeriesDefinition[] = []
  const texts = new Map<string, number>()
  const count = readings.length
  const timeUs = Float64Array.from(readings, (one) => one.timeUs)
  const value = new Float64Array(count)
  const place = new Uint16Array(count)
  for (const [row, { metric, kind, value: said }] of readings.entries()) {
    const key = `${kind} ${metric}`
    if (!places.has(key)) {
      places.set(key, series.length)
      const names = { tenant, deviceId, deviceType, metric, kind }
      series.push({ ...names, series: series.length, device: 0, dimensions: [] })
    }
    place[row] = places.get(key)!
    if (typeof said === 'string' && !texts.has(said)) texts.set(said, texts.size)
    value[row] = typeof said === 'string' ? texts.get(said)! : Number(said)
  }
  const numbers = [...texts].map(([text, id]): [number, string] => [id, text])
  return { series, texts: numbers, count, timeUs, value, place, isLast: true }
}
