/**
 * The rules of a plan and those that come and go in the log, in arrival order, on the ingest time
 * that the gateway stamped. A pure function of the calls: the same calls give the same events.
 *
 *   new RuleEngine({ rules: plan.rules, time: plan.time, limits: { seriesMax, deviceMax } })
 *
 *   each frame     define(definitions, ingestUs)   when it has some, before its messages
 *                  tick(ingestUs)                  its base ingest time
 *   each message   hear(device, ingestUs)          unless historical; only when hasSilence
 *                  observe(series, value, eventUs, ingestUs)
 *                                                  each fresh reading whose isWatched(series)
 *                  endMessage(eventUs, ingestUs)   behind the last of them
 *   windows        closeWindows(rows, fromRow, toRow, ingestUs)
 *                                                  on-time partials (PARTIAL_STRIDE float64 a row)
 *                                                  as they are emitted; only when hasWindows
 *   at any time    take(): RuleEvent[]             all since the last call
 */
