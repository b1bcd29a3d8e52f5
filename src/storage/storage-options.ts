/** What can be set of the embedded store, and what is set otherwise. */
import type { Objects } from '../objects/objects.ts'
import type { QueryLimits } from '../query/query.ts'
import type { AgingPolicy } from './ager.ts'
import { SCRUB_PACE, type ScrubPace } from './scrubber.ts'
import type { StorageListener } from './storage.ts'

export interface StorageOptions {
  /** DuckDB's threads and memory. */
  threads: number
  memoryBytes: number
  /** Queries that DuckDB works on at once; more wait. */
  queryConcurrency: number
  limits: QueryLimits
  /** Of answers that are kept; 0: none are. */
  answersBytesMax: number
  /** Segments below this are merged, `mergeFanIn` of a size at a time. */
  segmentRows: number
  mergeFanIn: number
  /** How long late readings still change a window's partials. */
  allowedLatenessMs: number
  scrub: ScrubPace
  /** Undefined: all readings stay on this disk. */
  aging: AgingOptions | undefined
  listener: StorageListener
}

export interface AgingOptions extends AgingPolicy {
  objects: Objects
  intervalMs: number
}

/** Tells nobody. */
export const NOBODY: StorageListener = {
  mergeFailed: () => undefined,
  segmentDamaged: () => undefined,
  stateLost: () => undefined,
  eventDamaged: () => undefined,
  aged: () => undefined,
  agingFailed: () => undefined,
}

export const STORAGE_DEFAULTS: StorageOptions = {
  threads: 1,
  memoryBytes: 512 << 20,
  queryConcurrency: 2,
  limits: { rowsMax: 50_000_000, windowsMax: 100_000 },
  answersBytesMax: 32 << 20,
  segmentRows: 4_000_000,
  mergeFanIn: 8,
  allowedLatenessMs: 3_600_000,
  scrub: SCRUB_PACE,
  aging: undefined,
  listener: NOBODY,
}
