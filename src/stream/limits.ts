/** Hard limits of the stream's state (promise 5): every table, queue and interval has one. */
export interface StreamLimits {
  /** Series numbers lie below this. A series costs about 850 B while it is awake, 8 B asleep. */
  seriesMax: number
  /** Device numbers lie below this. */
  deviceMax: number
  /** Late partials held at once (112 B each); a late reading beyond becomes a dirty range. */
  latePartialsMax: number
  /** A series or device that sent nothing for this long (ingest time) loses its memory. */
  stateTtlUs: number
  /** A checkpoint is due after this many readings, or … */
  checkpointReadings: number
  /** … this long after the last one, in ingest time. */
  checkpointIntervalUs: number
}

/**
 * One million series is what 1 GB of state holds. Ten million readings are three seconds at the
 * aimed rate: a checkpoint of 30,000 busy series copies 28 MB, and a restart replays seconds, not
 * minutes.
 */
export const DEFAULT_STREAM_LIMITS: StreamLimits = {
  seriesMax: 1_000_000,
  deviceMax: 1_000_000,
  latePartialsMax: 100_000,
  stateTtlUs: 7 * 86_400 * 1e6,
  checkpointReadings: 10_000_000,
  checkpointIntervalUs: 10 * 1e6,
}
