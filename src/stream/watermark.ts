/**
 * The watermark of the one partition: "nothing older than this is expected on time any more". It is
 * the highest event time seen minus the allowed disorder. When no reading came for the idle
 * timeout, the gateway's ticks move it on, so that the last windows before a silence are emitted.
 * It never goes back, and before the first reading it is -Infinity: nothing can be late yet.
 */
/** A reading in the last millisecond of a window must not close that very window (see G4). */
const DISORDER_US_MIN = 1000
/**
 * No event time is believed that lies so far ahead of the clock: it was the clock that went back.
 */
const SET_BACK_US = 60_000_000

export class Watermark {
  watermarkUs = -Infinity
  highestEventUs = -Infinity
  lastIngestUs = -Infinity
  readonly #disorderUs: number
  readonly #idleTimeoutUs: number

  constructor(time: { disorderUs: number; idleTimeoutUs: number }) {
    this.#disorderUs = Math.max(time.disorderUs, DISORDER_US_MIN)
    this.#idleTimeoutUs = time.idleTimeoutUs
  }

  /** The furthest that event times can run ahead of the watermark, µs. */
  get disorderUs(): number {
    return this.#disorderUs
  }

  /** A message of event time `eventUs` arrived. True when the watermark moved. */
  observe(eventUs: number, ingestUs: number): boolean {
    if (ingestUs > this.lastIngestUs) this.lastIngestUs = ingestUs
    if (eventUs <= this.highestEventUs) return false
    this.highestEventUs = eventUs
    return this.#advance(eventUs - this.#disorderUs)
  }

  /**
   * The gateway's clock says `ingestUs`, `passedUs` after the last time. True when the watermark
   * moved: with that clock, or, when it was set back behind the devices' own, as fast as time goes.
   */
  tick(ingestUs: number, passedUs: number): boolean {
    if (this.lastIngestUs === -Infinity) return false
    const overdueUs = ingestUs - this.lastIngestUs - this.#idleTimeoutUs
    if (overdueUs < 0) return false
    const byClockUs = ingestUs - this.#disorderUs - this.#idleTimeoutUs
    if (this.watermarkUs - byClockUs < SET_BACK_US) return this.#advance(byClockUs)
    return this.#advance(this.watermarkUs + Math.min(passedUs, overdueUs))
  }

  #advance(toUs: number): boolean {
    if (toUs <= this.watermarkUs) return false
    this.watermarkUs = toUs
    return true
  }
}
