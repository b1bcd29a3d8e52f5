/**
 * Which time a message gets. A device's clock is believed unless it is ahead of ours by more than
 * `futureUs` or before 2000 (a clock that was never set): then the ingest time stands in for it,
 * and the device's own time becomes the message's identity, so that a repeat is still recognised.
 */
import { MESSAGE_CLOCK_SKEWED, MESSAGE_HISTORICAL, MESSAGE_WITHOUT_TIME } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import type { TimePolicy } from '../pipeline/pipeline.ts'
import type { DeviceState } from './device-state.ts'

/** 2000-01-01T00:00:00Z. */
const CLOCK_SET_MIN_US = 946_684_800_000_000
const DAY_US = 86_400_000_000
/** How far off "now" a number in a wrong unit may be to be recognised as such. */
const PLAUSIBLE_AHEAD_US = DAY_US

export interface MessageTime {
  eventTimeUs: number
  flags: number
  /** True when the device's own time must serve as the message's identity. */
  needsIdentity: boolean
}

const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/

/**
 * Microseconds of a `ts` value: milliseconds since 1970 or RFC 3339. Throws TIME_FORMAT_INVALID.
 */
export function parseEventTimeUs(ts: unknown): number {
  if (typeof ts === 'number' && Number.isFinite(ts)) return Math.round(ts * 1000)
  if (typeof ts === 'string' && RFC_3339.test(ts)) {
    const ms = Date.parse(ts.replace(' ', 'T'))
    if (!Number.isNaN(ms)) {
      // Date.parse keeps three digits of the fraction; the next three are ours.
      const fraction = /\.(\d+)/.exec(ts)?.[1] ?? ''
      return ms * 1000 + Number(fraction.padEnd(6, '0').slice(3, 6))
    }
  }
  throw new WeirError('TIME_FORMAT_INVALID', `"ts" is ${shown(ts)}`)
}

/** Not JSON of it: what nests a million levels deep would overflow the stack. */
function shown(ts: unknown): string {
  if (typeof ts === 'string') return JSON.stringify(ts.slice(0, 60))
  if (typeof ts === 'object') return Array.isArray(ts) ? 'a list' : 'an object'
  return String(ts)
}

function isPlausible(us: number, nowUs: number): boolean {
  return us >= CLOCK_SET_MIN_US && us <= nowUs + PLAUSIBLE_AHEAD_US
}

/** In which other unit `us` (taken as milliseconds so far) would be a sensible time. */
function likelierUnit(us: number, nowUs: number): string | undefined {
  if (isPlausible(us * 1000, nowUs)) return 'seconds'
  if (isPlausible(us / 1000, nowUs)) return 'microseconds'
  if (isPlausible(us / 1_000_000, nowUs)) return 'nanoseconds'
  return undefined
}

export class TimeKeeper {
  readonly #policy: TimePolicy
  readonly #keptUs: number
  /** The answer of resolve(), reused: one call a message, no allocation. */
  readonly result: MessageTime = { eventTimeUs: 0, flags: 0, needsIdentity: false }

  /** `keptUs`: no reading is kept for longer. */
  constructor(policy: TimePolicy, keptUs: number) {
    this.#policy = policy
    this.#keptUs = keptUs
  }

  /**
   * Fills `result`. `deviceTimeUs` is NaN when the message has none. `isExact` says that the
   * number's unit is certain (RFC 3339, line protocol). Throws TIME_UNIT_WRONG, TIME_TOO_OLD,
   * TIME_NOT_KEPT.
   */
  resolve(
    device: DeviceState,
    deviceTimeUs: number,
    context: { nowUs: number; isHistorical: boolean; isExact: boolean },
  ): void {
    const { nowUs, isHistorical } = context
    const { result } = this
    result.flags = isHistorical ? MESSAGE_HISTORICAL : 0
    result.needsIdentity = false
    if (Number.isNaN(deviceTimeUs)) {
      result.eventTimeUs = device.risingTimeUs(nowUs)
      result.flags |= MESSAGE_WITHOUT_TIME
      return
    }
    const isAhead = deviceTimeUs > nowUs + this.#policy.futureUs
    const isUnset = deviceTimeUs < CLOCK_SET_MIN_US
    if (isAhead || isUnset) this.#refuseWrongUnit(deviceTimeUs, context)
    if (isAhead || (isUnset && !isHistorical)) {
      result.eventTimeUs = device.risingTimeUs(nowUs)
      result.flags |= MESSAGE_CLOCK_SKEWED
      result.needsIdentity = true
      return
    }
    if (!isHistorical && deviceTimeUs < nowUs - this.#policy.pastUs) {
      const hours = Math.round((nowUs - deviceTimeUs) / 3_600_000_000)
      throw new WeirError('TIME_TOO_OLD', `the event time is ${hours} hours ago`)
    }
    if (device.type.takesIngestTime) {
      result.eventTimeUs = device.risingTimeUs(nowUs)
      result.needsIdentity = true
      return
    }
    if (deviceTimeUs < nowUs - this.#keptUs) {
      const days = Math.round(this.#keptUs / DAY_US)
      throw new WeirError('TIME_NOT_KEPT', `readings are kept for ${days} days`)
    }
    result.eventTimeUs = deviceTimeUs
  }

  #refuseWrongUnit(deviceTimeUs: number, context: { nowUs: number; isExact: boolean }): void {
    if (context.isExact) return
    const unit = likelierUnit(deviceTimeUs, context.nowUs)
    if (unit === undefined) return
    throw new WeirError('TIME_UNIT_WRONG', `"ts" ${deviceTimeUs / 1000} is a time in ${unit}`)
  }
}
