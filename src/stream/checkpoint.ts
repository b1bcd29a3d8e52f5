/**
 * The state as named parts: what changed since the last checkpoint goes out, everything comes back.
 *
 *   plan              JSON: what the other parts were laid out for (SavedPlan)
 *   clock             f64: watermark, sweep, emitted windows (see the processor)
 *   series-N          f64: one chunk of series records, or the 1,024 floors of a sleeping one
 *   …                 what rules know (see rule-checkpoint.ts)
 *   zscore-D-series   f64: the series of each record of the D-th detector
 *   zscore-D-N        f64: one chunk of its records
 *   late              f64: all late partials
 *   identities-N      u32: one chunk of message identities
 *
 * A restart may bring another plan. Deduplication then lives on; rules and detectors that are still
 * there keep their state; windows that changed size start anew, and those that were open are marked
 * dirty, so that storage computes them.
 *
 * The parts may hold more series and devices than were defined: those of a partition that was
 * divided, which went elsewhere. Nothing of them is taken over, and their numbers may be given
 * again.
 */
import type { Definitions } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import type { Detectors } from './detectors.ts'
import type { Identities } from './identities.ts'
import type { LatePartials } from './late-partials.ts'
import { collectRules, restoreRules, savedRules, type SavedRules } from './rule-checkpoint.ts'
import type { RuleEngine } from './rule-engine.ts'
import { restoreRulesBefore, type RulesBefore } from './rules-before.ts'
import type { SeriesState } from './series-state.ts'
import type { Checkpoint } from './stream.ts'
import type { ZScore } from './zscore.ts'

type Part = Checkpoint['parts'][number]

export interface SavedPlan {
  version: 2
  windowsMs: number[]
  slots: number
  rules: SavedRules
  detectors: { id: string; type: string | null; metric: string; n: number }[]
}

/** Of the releases before rules could change. */
type PlanBefore = Omit<SavedPlan, 'version' | 'rules'> & { version: 1 } & RulesBefore

export interface Stores {
  state: SeriesState
  rules: RuleEngine
  detectors: Detectors
  late: LatePartials
  identities: Identities
}

const STATE_VERSION = 2

/** What the parts mean under this plan. */
export const savedPlan = ({ windowsMs, detectors }: Plan, { state, rules }: Stores): SavedPlan => ({
  version: STATE_VERSION,
  windowsMs: [...windowsMs],
  slots: state.layout.slots,
  rules: savedRules(rules),
  detectors: detectors.map(({ id, type, metric, n }) => ({ id, type: type ?? null, metric, n })),
})

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const part = (name: string, array: Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): Part => ({
  name,
  bytes: new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
})

/** A copy, since stored bytes may lie at any address. */
const floats = (bytes: Uint8Array): Float64Array<ArrayBuffer> =>
  new Float64Array(Uint8Array.from(bytes).buffer)

/** Copies what changed since the last call. */
export function collectParts(stores: Stores, plan: SavedPlan, clock: Float64Array): Part[] {
  const { state, rules, detectors, late, identities } = stores
  const parts: Part[] = [
    { name: 'plan', bytes: encoder.encode(JSON.stringify(plan)) },
    part('clock', Float64Array.from(clock)),
  ]
  for (const index of takeChanged(state.changed))
    parts.push(part(`series-${index}`, state.snapshot(index)))
  parts.push(...collectRules(rules))
  for (const [d, detector] of detectors.zscores.entries()) {
    if (detector.isExtended)
      parts.push(part(`zscore-${d}-series`, Float64Array.from(detector.seriesOf)))
    detector.isExtended = false
    for (const index of takeChanged(detector.changed))
      parts.push(part(`zscore-${d}-${index}`, detector.chunks[index]!.slice()))
  }
  if (late.isChanged) parts.push(part('late', late.snapshot()))
  late.isChanged = false
  for (const index of takeChanged(identities.changed))
    parts.push(part(`identities-${index}`, identities.chunks[index]!.slice()))
  return parts
}

/** Whether open windows can be taken over from one plan to the other. */
export const hasSameWindows = (
  a: Pick<SavedPlan, 'slots' | 'windowsMs'>,
  b: Pick<SavedPlan, 'slots' | 'windowsMs'>,
): boolean => a.slots === b.slots && a.windowsMs.join() === b.windowsMs.join()

/**
 * Fills the stores, whose series must have been attached, and returns plan and clock of the
 * checkpoint; undefined when there is none.
 */
export function restoreParts(
  stores: Stores,
  parts: readonly Part[],
  { current, definitions }: { current: SavedPlan; definitions: Definitions },
): { plan: SavedPlan | PlanBefore; clock: Float64Array } | undefined {
  const byName = new Map(parts.map(({ name, bytes }) => [name, bytes]))
  const planBytes = byName.get('plan')
  const clockBytes = byName.get('clock')
  if (planBytes === undefined || clockBytes === undefined) return undefined
  const plan = JSON.parse(decoder.decode(planBytes)) as SavedPlan | PlanBefore
  if (plan.version > STATE_VERSION) {
    const detail = `the stream’s state has version ${plan.version}`
    throw new WeirError('DATA_FORMAT_NEWER', `${detail}; this one knows up to ${STATE_VERSION}`)
  }
  const clock = floats(clockBytes)
  const isSame = hasSameWindows(plan, current)
  const layout = { slots: plan.slots, sizes: plan.windowsMs.length }
  for (const [name, bytes] of byName) {
    const [kind, index] = name.split('-')
    if (kind === 'series') stores.state.restore(Number(index), floats(bytes), layout, isSame)
    if (kind === 'identities')
      stores.identities.restore(Number(index), new Uint32Array(Uint8Array.from(bytes).buffer))
  }
  const series = new Set(definitions.series.map((one) => one.series))
  const devices = new Set(definitions.series.map((one) => one.device))
  stores.state.retain(series)
  stores.identities.retain(devices)
  const nowUs = clock[0]!
  if (plan.version === 1) restoreRulesBefore(stores.rules, byName, { saved: plan, nowUs })
  else restoreRules(stores.rules, byName, { saved: plan.rules, nowUs })
  for (const [d, saved] of plan.detectors.entries())
    restoreDetector(stores.detectors, saved, byName, d)
  const late = byName.get('late')
  if (late !== undefined) stores.late.restore(floats(late), series)
  return { plan, clock }
}

function restoreDetector(
  detectors: Detectors,
  saved: SavedPlan['detectors'][number],
  parts: Map<string, Uint8Array>,
  d: number,
): void {
  const isSame = ({ detector }: ZScore): boolean =>
    detector.id === saved.id &&
    (detector.type ?? null) === saved.type &&
    detector.metric === saved.metric &&
    detector.n === saved.n
  const current = detectors.zscores.find(isSame)
  const seriesBytes = parts.get(`zscore-${d}-series`)
  if (current === undefined || seriesBytes === undefined) return
  const recordOf = new Map(current.seriesOf.map((series, record) => [series, record]))
  const chunks = new Map<number, Float64Array>()
  for (const [was, series] of floats(seriesBytes).entries()) {
    const record = recordOf.get(series)
    const bytes = parts.get(`zscore-${d}-${was >> 10}`)
    if (record === undefined || bytes === undefined) continue
    let chunk = chunks.get(was >> 10)
    if (chunk === undefined) chunks.set(was >> 10, (chunk = floats(bytes)))
    const at = (was & 1023) * current.stride
    current.restore(record, chunk.subarray(at, at + current.stride))
  }
}

/** Indices of the chunks that changed; starts anew. */
function takeChanged(changed: Uint8Array): number[] {
  const indices: number[] = []
  for (let index = changed.indexOf(1); index !== -1; index = changed.indexOf(1, index + 1))
    indices.push(index)
  changed.fill(0)
  return indices
}
