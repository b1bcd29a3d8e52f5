/** How long readings are kept, and where: from the definition's words to the plan's. */
import type { Path, Problem } from '../config/config.ts'
import type { RetentionDefinition } from './definition.ts'
import { resolveDurationUs } from './durations.ts'
import type { DeviceType, Retention, RetentionAges } from './pipeline.ts'

/** DESIGN "Storage"; cold for seven years. What is older when it comes is refused: see keptUs(). */
const AGES_DEFAULT = { hot: '7d', warm: '90d', cold: '2557d' }
/** A day is the least that can be deleted; and what is late by an hour still changes windows. */
const AGE_US_MIN = 86_400_000_000

export function resolveRetention(
  definition: RetentionDefinition,
  { types, problems }: { types: Record<string, DeviceType>; problems: Problem[] },
): Retention {
  const { only = [], export: exported = false, ...ages } = definition
  const general = resolveAges({ ...AGES_DEFAULT, ...ages }, ['retention'], problems)
  return {
    ...general,
    isExportedFirst: exported,
    only: only.map(({ tenant, type, metric, ...own }, index) => {
      const path = ['retention', 'only', index]
      if (type !== undefined && !Object.hasOwn(types, type))
        problems.push({
          path: [...path, 'type'],
          message: `found "${type}", expected one of ${Object.keys(types).join(', ')}`,
        })
      const written = { ...AGES_DEFAULT, ...ages, ...own }
      return { tenant, type, metric, ...resolveAges(written, path, problems) }
    }),
  }
}

function resolveAges(
  ages: { hot: string; warm: string; cold: string },
  path: Path,
  problems: Problem[],
): RetentionAges {
  const us = (key: keyof typeof ages): number =>
    resolveDurationUs(ages[key], [...path, key], problems)
  const [hotUs, warmUs, coldUs] = [us('hot'), us('warm'), us('cold')]
  if (hotUs < AGE_US_MIN)
    problems.push({ path: [...path, 'hot'], message: `found ${ages.hot}, expected at least 1d` })
  if (warmUs < hotUs)
    problems.push({
      path: [...path, 'warm'],
      message: `found ${ages.warm}, expected at least hot (${ages.hot}): it is an age, too`,
    })
  if (coldUs < warmUs)
    problems.push({
      path: [...path, 'cold'],
      message: `found ${ages.cold}, expected at least warm (${ages.warm}): it is an age, too`,
    })
  return { hotUs, warmUs, coldUs }
}

/** The ages of one series: of what fits it in `only` the first, else those of all. */
export function retentionOf(
  retention: Retention,
  series: { tenant: string; deviceType: string; metric: string },
): RetentionAges {
  const fits = (wanted: string | undefined, found: string): boolean =>
    wanted === undefined || wanted === found
  return (
    retention.only.find(
      ({ tenant, type, metric }) =>
        fits(tenant, series.tenant) && fits(type, series.deviceType) && fits(metric, series.metric),
    ) ?? retention
  )
}

/**
 * How long a reading of any series is kept at most, µs. Nothing that is older when it comes may be
 * accepted: it would vanish at once.
 */
export const keptUs = ({ isExportedFirst, only, coldUs }: Retention): number =>
  isExportedFirst ? Infinity : Math.max(coldUs, ...only.map((one) => one.coldUs))
