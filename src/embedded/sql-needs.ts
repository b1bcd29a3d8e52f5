/** What a statement needs of readings and windows, out of what it can see of the views. */
import type { ScanQuestion } from '../query/query.ts'
import { eitherOf, type SqlScope } from '../sql/scope.ts'
import type { Scopes } from '../sql/sql.ts'

export interface SqlNeeds {
  /** All of it together. */
  all: ScanQuestion
  /** Undefined: none. */
  readings: ScanQuestion | undefined
  /** Windows that start in the span; undefined: none. */
  windows: ScanQuestion | undefined
  /** Where readings of those windows can be: its span is longer. */
  windowReadings: ScanQuestion | undefined
  /** The longest size of windows. */
  windowUs: number
}

/** Undefined: it is about neither. */
export function needsOf({
  tenant,
  scopes,
  windowsMs,
}: {
  tenant: string
  scopes: Scopes
  windowsMs: readonly number[]
}): SqlNeeds | undefined {
  const { telemetry, wide, aggregations: windows } = scopes
  const both = telemetry !== undefined && wide !== undefined
  const readings = both ? eitherOf(telemetry, wide) : (telemetry ?? wide)
  if (readings === undefined && windows === undefined) return undefined
  const windowUs = Math.max(0, ...windowsMs) * 1000
  const question = (scope: SqlScope): ScanQuestion => ({ tenant, ...scope })
  return {
    all: question(readings && windows ? eitherOf(readings, windows) : (readings ?? windows)!),
    readings: readings && question(readings),
    windows: windows && question(windows),
    windowReadings: windows && question({ ...windows, endUs: windows.endUs + windowUs }),
    windowUs,
  }
}
