/**
 * How many alarms are false, and what makes them fewer? The same threshold, bare and with what
 * rules have against noise, over real series whose anomalies people labelled, and over the
 * simulated fleet with faults that are known. What is told is an alert; bare, each episode is told.
 */
import { DeviceReplay } from '../src/backtest/device-replay.ts'
import { foldEpisodes } from '../src/backtest/folding.ts'
import type { SeriesDefinition } from '../src/batch/batch.ts'
import { compilePipeline, compileRule, defaultPlan } from '../src/pipeline/compile.ts'
import type { Plan, RuleDefinition } from '../src/pipeline/pipeline.ts'
import type { ScanBlock } from '../src/query/query.ts'
import type { RuleEvent } from '../src/stream/stream.ts'
import { faultyDevice, type FaultyDevice } from './faulty-fleet.ts'
import { NAB_DATA, readNabSeries, type NabSeries } from './nab-series.ts'
import { isQuick, median, numberFlag, Reporter } from './report.ts'

type RuleParts = Omit<RuleDefinition, 'id'>
type Span = { fromUs: number; toUs: number }

const reporter = new Reporter(
  'false-alarms',
  'false alarms: thresholds bare, and with what rules have',
)

interface Tally {
  told: number
  /** Told while nothing is wrong. */
  isFalse: number
  found: number
  wrong: number
  delaysUs: number[]
}

const noTally = (): Tally => ({ told: 0, isFalse: 0, found: 0, wrong: 0, delaysUs: [] })

const outsideOf = (toldUs: readonly number[], spans: readonly Span[]): number[] =>
  toldUs.filter((atUs) => !spans.some(({ fromUs, toUs }) => fromUs <= atUs && atUs <= toUs))

/** `toldUs`, in order, held against the times within which something is wrong. */
function judge(toldUs: readonly number[], wrong: readonly Span[], into: Tally): void {
  into.told += toldUs.length
  into.isFalse += outsideOf(toldUs, wrong).length
  into.wrong += wrong.length
  for (const { fromUs, toUs } of wrong) {
    const firstUs = toldUs.find((atUs) => fromUs <= atUs && atUs <= toUs)
    if (firstUs === undefined) continue
    into.found++
    into.delaysUs.push(firstUs - fromUs)
  }
}

function eventsOf(
  block: ScanBlock,
  rules: readonly RuleParts[],
  { plan, endUs }: { plan: Plan; endUs: number },
): readonly RuleEvent[] {
  const compiled = rules.map((rule, at) => compileRule({ id: `rule-${at}`, ...rule }, plan))
  const startUs = block.timeUs[0]!
  const replay = new DeviceReplay(
    { rules: compiled, plan, startUs, endUs },
    block.series,
    undefined,
  )
  // What is text is numbered anew, in place.
  replay.add({ ...block, value: block.value.slice() })
  return replay.finish()
}

/** When somebody is told: of each alert, or without folding of each episode. */
function toldOf(events: readonly RuleEvent[], isFolded: boolean): number[] {
  const byRule = Map.groupBy(events, ({ ruleId }) => ruleId)
  return [...byRule.values()]
    .flatMap((own) => {
      const { episodes, alertsUs } = foldEpisodes(own)
      return isFolded ? alertsUs : episodes.map(({ triggeredAtUs }) => triggeredAtUs)
    })
    .toSorted((a, b) => a - b)
}

// Real series.

/** As NAB does it: what is learned from is the first 15 % of the rows, at most 750. */
const LEARNED_SHARE = 0.15
const LEARNED_MAX = 750

interface Bounds {
  low: number
  high: number
  margin: number
  /** The usual time between two readings. */
  stepUs: number
}

/** The least and the most of what is learned from, and a tenth of what is between them. */
function boundsOf({ timeUs, value }: NabSeries): Bounds & { learned: number } {
  const learned = Math.min(Math.floor(value.length * LEARNED_SHARE), LEARNED_MAX)
  const known = value.slice(0, learned)
  const [low, high] = [Math.min(...known), Math.max(...known)]
  const steps = Array.from({ length: learned - 1 }, (_, at) => timeUs[at + 1]! - timeUs[at]!)
  return { low, high, margin: (high - low) / 10, stepUs: median(steps), learned }
}

const real = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value))
const above = ({ high, margin }: Bounds, width: number): string =>
  `value > ${real(high + width * margin)}`
const below = ({ low, margin }: Bounds, width: number): string =>
  `value < ${real(low - width * margin)}`
const outside = (bounds: Bounds): string => `${above(bounds, 1)} || ${below(bounds, 1)}`
const inside = ({ low, high }: Bounds): string => `value <= ${real(high)} && value >= ${real(low)}`
const steps = ({ stepUs }: Bounds, count: number): string =>
  `${Math.round((count * stepUs) / 1e6)}s`

const WAYS: { name: string; isFolded: boolean; rule: (bounds: Bounds) => RuleParts }[] = [
  { name: 'bare', isFolded: false, rule: (bounds) => ({ when: outside(bounds) }) },
  { name: 'folded', isFolded: true, rule: (bounds) => ({ when: outside(bounds) }) },
  {
    ...{ name: 'hysteresis, folded', isFolded: true },
    rule: (bounds) => ({ when: outside(bounds), clear: inside(bounds) }),
  },
  {
    ...{ name: 'for, folded', isFolded: true },
    rule: (bounds) => ({ when: outside(bounds), for: steps(bounds, 2) }),
  },
  {
    ...{ name: 'repeat, folded', isFolded: true },
    rule: (bounds) => ({
      when: outside(bounds),
      repeat: { count: 3, within: steps(bounds, 5) },
    }),
  },
  {
    ...{ name: 'for, hysteresis, keep, folded', isFolded: true },
    rule: (bounds) => ({
      ...{ when: outside(bounds), clear: inside(bounds) },
      ...{ for: steps(bounds, 2), keep: steps(bounds, 12) },
    }),
  },
]

function measureReal(): void {
  const all = readNabSeries()
  if (all.length === 0) return reporter.note(`real series: ${NAB_DATA} is not there`)
  reporter.note(
    `real series: ${all.length} of NAB 1.1 (MIT), the threshold a tenth of the range beyond the ` +
      'least and the most of the first 15 % of the rows (at most 750), which are not judged; ' +
      'a delay counts from the beginning of the labelled window, which is before the anomaly',
  )
  const plan = defaultPlan()
  for (const { name, isFolded, rule } of WAYS) {
    const tally = noTally()
    let days = 0
    for (const one of all) {
      const bounds = boundsOf(one)
      const block = blockOfValues(one, bounds.learned)
      const endUs = block.timeUs.at(-1)!
      days += (endUs - block.timeUs[0]!) / 86_400e6
      const told = toldOf(eventsOf(block, [rule(bounds)], { plan, endUs }), isFolded)
      const judged = one.windows.filter(({ toUs }) => toUs >= block.timeUs[0]!)
      judge(told, judged, tally)
    }
    report(`real series, ${name}`, tally, days)
  }
}

function blockOfValues({ timeUs, value }: NabSeries, from: number): ScanBlock {
  const series: SeriesDefinition = {
    ...{ series: 0, device: 0, tenant: 'default', deviceId: 'device', deviceType: 'generic' },
    ...{ metric: 'value', dimensions: [], kind: 'number' },
  }
  const own = { timeUs: timeUs.slice(from), value: value.slice(from) }
  const count = own.timeUs.length
  return { series: [series], texts: [], count, ...own, place: undefined, isLast: true }
}

function report(name: string, tally: Tally, days: number): void {
  const { told, isFalse, found, wrong, delaysUs } = tally
  reporter.add(`${name}: told a day and device`, told / days, 'alerts')
  reporter.add(`${name}: of that while nothing was wrong`, (100 * isFalse) / (told || 1), '%')
  reporter.add(`${name}: found of ${wrong}`, found, 'anomalies')
  if (delaysUs.length > 0) reporter.add(`${name}: delay, median`, median(delaysUs) / 60e6, 'min')
}

// The simulated fleet.

const DEVICES = numberFlag('devices', isQuick ? 50 : 300)
const DAYS = numberFlag('days', isQuick ? 1 : 2)
const INTERVAL_US = 10_000_000
const SEED = 7
const START_US = Date.UTC(2026, 0, 5) * 1000
const END_US = START_US + DAYS * 86_400e6
/** An alert that comes so long after a fault is still told because of it. */
const AFTER_US = 300e6

const BARE: Record<string, RuleParts[]> = {
  pump: [{ when: 'temperature > 70' }, { when: 'vibration > 4.5' }],
  freezer: [{ when: 'temperature > -15' }],
  meter: [{ when: 'voltage < 220' }],
  'weather-station': [{ silent: { interval: '10s', count: 3 } }],
}

const RECOMMENDED: Record<string, RuleParts[]> = {
  pump: [
    { when: 'temperature > 70', clear: 'temperature < 65', for: '20s', keep: '1m' },
    {
      ...{ when: 'vibration > 4.5', clear: 'vibration < 4' },
      ...{ repeat: { count: 6, within: '2m' }, keep: '10m' },
    },
  ],
  freezer: [{ when: 'temperature > -15', clear: 'temperature < -16', for: '5m', keep: '10m' }],
  meter: [{ when: 'voltage < 220', clear: 'voltage > 223', for: '30s', keep: '1m' }],
  'weather-station': [{ silent: { interval: '10s', count: 12 } }],
}

/** The rule that is to find a fault, by its place; nobody looks for a scale that is wrong. */
const RULE_OF: Record<string, string> = {
  ...{ overheating: 'rule-0', bearing: 'rule-1', compressor: 'rule-0', sag: 'rule-0' },
  dead: 'rule-0',
}

const FLEET_PLAN = compilePipeline({ version: 1 })

function measureFleet(): void {
  reporter.note(
    `simulated fleet: ${DEVICES} devices, a message every 10 s for ${DAYS} days, seed ${SEED}; ` +
      'one reading in 1,000 is far off, doors are opened, connections are gone for 30 s: no faults',
  )
  const devices = Array.from({ length: DEVICES }, (_, index) =>
    faultyDevice(index, SEED, { startUs: START_US, endUs: END_US }),
  )
  const blocks = devices.map(blockOfDevice)
  const ways = { bare: BARE, recommended: RECOMMENDED }
  for (const [name, rules] of Object.entries(ways)) {
    const isFolded = rules === RECOMMENDED
    const tally = noTally()
    const byKind = new Map<string, Tally>()
    for (const [at, device] of devices.entries()) {
      const own = rules[device.type] ?? []
      const saying = eventsOf(blocks[at]!, own, { plan: FLEET_PLAN, endUs: END_US })
      const told = toldOf(saying, isFolded)
      judge(told, device.faults.map(lengthened), tally)
      for (const fault of device.faults) {
        const kind = byKind.get(fault.kind) ?? noTally()
        byKind.set(fault.kind, kind)
        const events = saying.filter(({ ruleId }) => ruleId === RULE_OF[fault.kind])
        judge(toldOf(events, isFolded), [lengthened(fault)], kind)
      }
    }
    report(`simulated fleet, ${name}`, tally, DEVICES * DAYS)
    for (const [kind, { found, wrong, delaysUs }] of byKind) {
      reporter.add(`simulated fleet, ${name}: ${kind}, found of ${wrong}`, found, 'faults')
      if (delaysUs.length > 0)
        reporter.add(`simulated fleet, ${name}: ${kind}, delay`, median(delaysUs) / 60e6, 'min')
    }
  }
}

const lengthened = ({ fromUs, toUs }: Span): Span => ({ fromUs, toUs: toUs + AFTER_US })

function blockOfDevice(device: FaultyDevice, index: number): ScanBlock {
  const series: SeriesDefinition[] = []
  const places = new Map<string, number>()
  const texts = new Map<string, number>()
  const rows: { timeUs: number; place: number; value: number }[] = []
  const phaseUs = (index % 10) * 1_000_000
  for (let timeUs = START_US + phaseUs; timeUs < END_US; timeUs += INTERVAL_US) {
    for (const [metric, value] of Object.entries(device.measure(timeUs) ?? {})) {
      if (!places.has(metric)) {
        places.set(metric, series.length)
        series.push({
          ...{ series: series.length, device: 0, tenant: 'default', deviceId: device.id },
          ...{ deviceType: device.type, metric, dimensions: [] },
          kind: typeof value === 'string' ? 'text' : (typeof value as 'number' | 'boolean'),
        })
      }
      if (typeof value === 'string' && !texts.has(value)) texts.set(value, texts.size)
      const number = typeof value === 'string' ? texts.get(value)! : Number(value)
      rows.push({ timeUs, place: places.get(metric)!, value: number })
    }
  }
  return {
    ...{ series, texts: [...texts].map(([text, id]) => [id, text]), count: rows.length },
    timeUs: Float64Array.from(rows, ({ timeUs }) => timeUs),
    value: Float64Array.from(rows, ({ value }) => value),
    place: Uint16Array.from(rows, ({ place }) => place),
    isLast: true,
  }
}

measureReal()
measureFleet()
reporter.finish()
