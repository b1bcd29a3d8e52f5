/**
 * Checkpoints of the releases before rules could change: one table of records per rule and device,
 * each with the device's latest values.
 *
 * Record, float64: phase | since | breach event time | triggered at | queued for | is touched |
 * rule | device | a value a metric (NaN: never seen)
 */
import { metricsOf } from '../pipeline/pipeline.ts'
import { FIRING, IDLE } from './episodes.ts'
import * as now from './episodes.ts'
import type { LiveRule } from './rule-book.ts'
import { currentRules } from './rule-checkpoint.ts'
import type { RuleEngine } from './rule-engine.ts'
import { eventOf, type RuleWords } from './rule-events.ts'
import { metricKey } from './watched-devices.ts'

const PHASE = 0
const SINCE = 1
const BREACH = 2
const TRIGGERED = 3
const RULE = 6
const DEVICE = 7
const VALUES = 8
const BLOCK = 1 << 14

interface SavedRule {
  id: string
  version: number
  severity: string
  metrics: string[]
}

export interface RulesBefore {
  /** Float64 in the table. */
  rulesLength: number
  rules: SavedRule[]
}

/** Fills an engine whose series were defined. */
export function restoreRulesBefore(
  engine: RuleEngine,
  parts: ReadonlyMap<string, Uint8Array>,
  { saved, nowUs }: { saved: RulesBefore; nowUs: number },
): void {
  const table = new Float64Array(saved.rulesLength)
  for (let at = 0; at < table.length; at += BLOCK) {
    const bytes = Uint8Array.from(parts.get(`rules-${at / BLOCK}`)!)
    table.set(new Float64Array(bytes.buffer), at)
  }
  engine.resume(undefined, 0, nowUs)
  const current = currentRules(engine, saved.rules)
  for (let from = 0; from < table.length;) {
    const index = table[from + RULE]!
    const rule = saved.rules[index]!
    restoreRecord(engine, { rule, live: current[index] }, { table, from, nowUs })
    from += (VALUES + rule.metrics.length + 7) & ~7
  }
}

function restoreRecord(
  engine: RuleEngine,
  { rule, live }: { rule: SavedRule; live: LiveRule | undefined },
  { table, from, nowUs }: { table: Float64Array; from: number; nowUs: number },
): void {
  const { devices, episodes } = engine
  const device = table[from + DEVICE]!
  const name = devices.name(device)
  if (name === undefined) return
  const phase = table[from + PHASE]!
  const isSame = live !== undefined && metricsOf(live.rule).join('\n') === rule.metrics.join('\n')
  if (isSame && devices.rulesOf(device).all.includes(live)) {
    const values = table.subarray(from + VALUES, from + VALUES + rule.metrics.length)
    remember(engine, live, { device, metrics: rule.metrics, values })
    if (phase === IDLE) return
    // As a record of today says it; nothing waited for anything but a duration.
    const record = new Float64Array(16).fill(NaN)
    record[now.PHASE] = phase
    record[now.SINCE] = table[from + SINCE]!
    record[now.BREACH] = table[from + BREACH]!
    record[now.TRIGGERED] = table[from + TRIGGERED]!
    record[now.WINDOW] = -Infinity
    record[now.CLOSES] = Infinity
    const restored = episodes.begin(live, device)
    episodes.restore(restored, record, 0)
    episodes.setValues(restored, values)
  } else if (phase === FIRING) {
    const { id, version, severity } = rule
    const words: RuleWords = {
      ...{ id, version, severity, on: 'readings', when: '', variables: [] },
      ...{ notify: undefined, threshold: undefined },
    }
    episodes.add(
      eventOf(words, name, {
        ...{ resolvedAtUs: nowUs, values: [], before: NaN },
        breachEventTimeUs: table[from + BREACH]!,
        triggeredAtUs: table[from + TRIGGERED]!,
      }),
    )
  }
}

/** The latest values of a rule that is more than one comparison. */
function remember(
  { cells, devices, guards, sequence }: RuleEngine,
  { rule }: LiveRule,
  of: { device: number; metrics: readonly string[]; values: Float64Array },
): void {
  for (const variable of rule.variables) {
    if (variable.of !== 'latest') continue
    const value = of.values[of.metrics.indexOf(variable.metric)]!
    const place = cells.placeOf(of.device, metricKey(variable.metric, variable.kind))
    if (place === undefined || Number.isNaN(value)) continue
    const key = metricKey(variable.metric, variable.kind)
    for (const series of devices.seriesOf(of.device)) {
      if (devices.keyOf(series).name !== key) continue
      cells.store(
        place,
        'latest',
        { series, value, eventUs: -Infinity, newestUs: -Infinity },
        sequence,
      )
      guards.setLast(series, value)
    }
  }
}
