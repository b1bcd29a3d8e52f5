/** What a look at the store knows of fleets: hours and minutes in files, and minutes in memory. */
import { addSpan, type FleetHours, type FleetMinutes, type Span } from '../query/query.ts'
import type { LateLook } from './late-ranges.ts'
import type { RecentFleets } from './recent-fleets.ts'
import { HOUR_MS, MINUTE_MS, type SummedUp } from './rollup-coverage.ts'
import type { PartialsWanted } from './segment-files.ts'
import type { Segment } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'

type Consume = (row: Float64Array, sketch?: Uint8Array) => void

export interface FleetViewParts {
  directory: SeriesDirectory
  late: LateLook
  summedUp: SummedUp | undefined
  rollupsFromUs: number
  recentFleets: RecentFleets
  damagedRollups: readonly Segment[]
  /** Returns whether there are any. */
  read: (kind: 'fleet' | 'minutes', what: PartialsWanted, consume: Consume) => Promise<boolean>
  tiers: Set<string>
}

/** Stretches of which a fleet's hours are not taken; more are joined. */
const UNSURE_MAX = 64
const NOTHING: Span = { startUs: -Infinity, endUs: -Infinity }

/** In the turn in which the look begins. */
export function fleetHours(parts: FleetViewParts): FleetHours {
  const { directory, summedUp, read, tiers } = parts
  let late: ReadonlyMap<number, readonly Span[]> | undefined
  const unsure = (fleet: number, kind: 'fleet' | 'minutes'): readonly Span[] => {
    late ??= lateByFleet(parts)
    return withDamaged(late.get(fleet) ?? [], parts, kind)
  }
  return {
    span: summedUp === undefined ? NOTHING : spanOf(summedUp),
    fleetOf: (series) => directory.fleetOf(series),
    size: (fleet) => directory.fleetMembers(fleet).length,
    unsure: (fleet) => unsure(fleet, 'fleet'),
    hours: async (series, what, consume) => {
      const isAny = await read('fleet', { series, windowMs: HOUR_MS, ...what }, consume)
      if (isAny) tiers.add('fleet-1h')
    },
    minutes: fleetMinutes(parts, (fleet) => unsure(fleet, 'minutes')),
  }
}

function fleetMinutes(
  { summedUp, rollupsFromUs, recentFleets, read, tiers }: FleetViewParts,
  unsure: FleetMinutes['unsure'],
): FleetMinutes {
  const { version } = recentFleets
  const { startUs: firstUs, endUs: toUs } = summedUp === undefined ? NOTHING : spanOf(summedUp)
  return {
    // Before it some files are gone, and what those that are left say may be old.
    span: { startUs: Math.max(firstUs, rollupsFromUs), endUs: toUs },
    unsure,
    read: async (series, span, consume) => {
      const isAny = await read('minutes', { series, windowMs: MINUTE_MS, span }, consume)
      if (isAny) tiers.add('fleet-1m')
    },
    recent: (fleet, { startUs, endUs }, consume) => {
      // What was output since is not in this look.
      if (recentFleets.version !== version) return []
      return recentFleets.read(fleet, { startUs: Math.max(startUs, toUs), endUs }, (row) => {
        tiers.add('fleet-memory')
        consume(row)
      })
    },
  }
}

const spanOf = ({ fromMs, toMs }: SummedUp): Span => ({
  startUs: fromMs * 1000,
  endUs: toMs * 1000,
})

/** Where something of their series is late. */
function lateByFleet({ late, directory }: FleetViewParts): Map<number, readonly Span[]> {
  const byFleet = new Map<number, readonly Span[]>()
  for (const series of late.series) {
    if (directory.get(series)?.kind !== 'number') continue
    const fleet = directory.fleetOf(series)
    for (const span of late.of(series)) {
      byFleet.set(fleet, addSpan(byFleet.get(fleet) ?? [], span, UNSURE_MAX))
    }
  }
  return byFleet
}

function withDamaged(
  late: readonly Span[],
  { damagedRollups }: FleetViewParts,
  of: 'fleet' | 'minutes',
): readonly Span[] {
  let spans = late
  for (const { kind, minTimeUs, maxTimeUs } of damagedRollups) {
    if (kind !== of) continue
    const endUs = maxTimeUs + HOUR_MS * 1000
    spans = addSpan(spans, { startUs: minTimeUs, endUs }, UNSURE_MAX)
  }
  return spans
}
