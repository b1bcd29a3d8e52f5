/**
 * Local times to UTC by the zone's own rules, which `Intl` knows (IANA time zone database). What a
 * clock shows is not always one moment: in the hour that is repeated in autumn the earlier moment
 * is taken, and a time in the hour that spring leaves out moves forward by the gap, as `Temporal`
 * does by default ("compatible").
 */
import { WeirError } from '../errors/errors.ts'

const DAY_MS = 86_400_000
/** Offsets change on quarter hours of UTC only, in all zones since 1970. */
const STEP_MS = 900_000

export interface LocalTime {
  year: number
  /** 1 to 12. */
  month: number
  day: number
  hour: number
  minute: number
  /** May have a fraction. */
  second: number
}

export class TimeZone {
  readonly #format: Intl.DateTimeFormat | undefined
  readonly #offsets = new Map<number, number>()

  /** `UTC`, or a name such as `Asia/Shanghai`. Throws CLI_USAGE_INVALID. */
  constructor(name: string) {
    if (name === 'UTC') return
    try {
      this.#format = new Intl.DateTimeFormat('en-US', {
        timeZone: name,
        hourCycle: 'h23',
        era: 'short',
        year: 'numeric',
        month: 'numeric',
        day: 'numeric',
        hour: 'numeric',
        minute: 'numeric',
        second: 'numeric',
      })
    } catch (cause) {
      const detail = `"${name}" is not a time zone; names are like Asia/Shanghai`
      throw new WeirError('CLI_USAGE_INVALID', detail, { cause })
    }
  }

  /** Milliseconds since 1970, perhaps with a fraction; undefined when there is no such date. */
  toUtcMs(local: LocalTime): number | undefined {
    const wallMs = wallClockMs(local)
    if (wallMs === undefined || this.#format === undefined) return wallMs
    const before = this.#offsetMs(wallMs - DAY_MS)
    const after = this.#offsetMs(wallMs + DAY_MS)
    const moments = [wallMs - before, wallMs - after].filter(
      (moment) => moment + this.#offsetMs(moment) === wallMs,
    )
    return moments.length > 0 ? Math.min(...moments) : wallMs - before
  }

  /** Local minus UTC, in ms, at a moment of UTC. */
  #offsetMs(utcMs: number): number {
    const step = Math.floor(utcMs / STEP_MS)
    const known = this.#offsets.get(step)
    if (known !== undefined) return known
    const moment = step * STEP_MS
    const offset = this.#wallMs(moment) - moment
    this.#offsets.set(step, offset)
    return offset
  }

  /** What a clock in the zone shows, as if it were UTC. */
  #wallMs(utcMs: number): number {
    const parts = new Map(
      (this.#format?.formatToParts(utcMs) ?? []).map(({ type, value }) => [type, value]),
    )
    const part = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type))
    const year = parts.get('era') === 'BC' ? 1 - part('year') : part('year')
    const time = [part('hour'), part('minute'), part('second')] as const
    return Date.UTC(year, part('month') - 1, part('day'), ...time)
  }
}

/** The wall clock as if it were UTC; undefined for dates like 31 April or hour 24. */
function wallClockMs({ year, month, day, hour, minute, second }: LocalTime): number | undefined {
  const ms = Date.UTC(year, month - 1, day, hour, minute) + second * 1000
  const date = new Date(ms)
  const isReal =
    year >= 1000 &&
    second >= 0 &&
    second < 60 &&
    date.getUTCFullYear() === year &&
    date.getUTCMonth() === month - 1 &&
    date.getUTCDate() === day &&
    date.getUTCHours() === hour &&
    date.getUTCMinutes() === minute
  return isReal ? ms : undefined
}
