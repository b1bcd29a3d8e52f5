/** What the stream stage counts; in = fresh + duplicates + unverified, nothing vanishes. */
/** Running totals since the process started. */
export interface StreamCounts {
  readings: number
  duplicates: number
  unverified: number
  /** Fresh readings whose smallest window had been emitted. */
  late: number
  /** Fresh readings of historical messages. */
  historical: number
  /** Fresh late readings that some window could take no more. */
  tooLate: number
  partials: number
  ruleEvents: number
  anomalies: number
}

/** The counts, and current sizes. */
export interface StreamStatistics extends StreamCounts {
  latePartialsHeld: number
  seriesCount: number
  stateBytes: number
  /** -Infinity before the first reading. */
  watermarkUs: number
}

export const noCounts = (): StreamCounts => ({
  readings: 0,
  duplicates: 0,
  unverified: 0,
  late: 0,
  historical: 0,
  tooLate: 0,
  partials: 0,
  ruleEvents: 0,
  anomalies: 0,
})
