/** Reads device by device, and asks the stream's rules what they say of each. */
import { metricsOf, type Rule } from '../pipeline/pipeline.ts'
import type { ScanBlock, ScanQuestion } from '../query/query.ts'
import type { BacktestOptions, BacktestQuestion, BacktestReport } from './backtest.ts'
import { DeviceReplay } from './device-replay.ts'
import { RuleTally } from './tally.ts'

/** Errors: those of the scan. */
export async function runBacktest(
  question: BacktestQuestion,
  { scan, onProgress, onEvents }: BacktestOptions,
): Promise<BacktestReport> {
  const { startUs, endUs, rules } = question
  const tallies = new Map(rules.map((rule) => [rule.id, new RuleTally(rule, { startUs, endUs })]))
  const facts = new Map(question.facts.map((one) => [one.deviceId, one]))
  let replay: DeviceReplay | undefined
  const finish = (device: DeviceReplay): void => {
    const events = device.finish()
    onEvents?.(events)
    for (const [id, tally] of tallies) tally.add(events.filter(({ ruleId }) => ruleId === id))
  }
  const take = (block: ScanBlock): void => {
    const { deviceId } = block.series[0]!
    replay ??= new DeviceReplay(question, block.series, facts.get(deviceId))
    replay.add(block)
    if (!block.isLast) return
    finish(replay)
    replay = undefined
  }
  let readings = 0
  let devices = 0
  let completeness = 1
  for await (const step of scan.scan(scanQuestionOf(question))) {
    for (const block of step.blocks) {
      readings += block.count
      take(block)
    }
    devices = step.devicesTotal
    completeness = Math.min(completeness, step.completeness)
    onProgress?.({ readings, devicesDone: step.devicesDone, devicesTotal: devices })
  }
  const reports = [...tallies.values()].map((tally) => tally.report())
  return { startUs, endUs, readings, devices, completeness, rules: reports }
}

/** What none of the rules looks at is not read. */
export function scanQuestionOf({ tenant, startUs, endUs, rules }: BacktestQuestion): ScanQuestion {
  // Whatever a device says ends its silence.
  const metrics = rules.some(({ on }) => on === 'silence')
    ? undefined
    : [...new Set(rules.flatMap((rule) => metricsOf(rule)))]
  return {
    ...{ tenant, startUs, endUs, metrics },
    deviceTypes: onlyThese(rules, ({ type }) => (type === undefined ? undefined : [type])),
    deviceIds: onlyThese(rules, ({ deviceIds }) => deviceIds),
  }
}

/** All that the rules name; undefined when one of them names none. */
function onlyThese(
  rules: readonly Rule[],
  names: (rule: Rule) => readonly string[] | undefined,
): string[] | undefined {
  const named = rules.map(names)
  return named.includes(undefined) ? undefined : [...new Set(named.flatMap((one) => one ?? []))]
}
