/**
 * The most that Weir's memory may be with the default settings: the sum that docs/guarantees.md
 * states under promise 5.
 */
import { loadConfig } from '../src/config/config.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** Node, its four heaps, the code, DuckDB's library; 209 MiB are seen when idle. */
const BASE_BYTES = 320 * MIB
/** In memory 24, and 20 more while a commit sorts them. */
const READING_BYTES = 44
/** State, its copy in a checkpoint, last value, names in three threads. */
const SERIES_BYTES = 2 * KIB
/** 5 when idle; one read of a socket that waits for the brake; answers on their way. */
const CONNECTION_BYTES = 80 * KIB

export function residentBytesMax(of: { connections: number; series: number }): number {
  const { storage, gateway } = loadConfig()
  return (
    BASE_BYTES +
    storage.memoryReadingsMax * READING_BYTES +
    storage.duckdbMemoryBytes +
    // Frames under way, and buffers that are kept for the next ones.
    2 * gateway.lagBytesMax +
    of.series * SERIES_BYTES +
    of.connections * CONNECTION_BYTES
  )
}
