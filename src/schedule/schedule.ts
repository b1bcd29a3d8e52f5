/**
 * Hours of the week by the clock on a wall: when a rule is watched, when a recipient is not to be
 * disturbed. Whatever that clock shows counts: on the night when an hour is left out, hours may be
 * shorter or not be, and on the night when an hour comes twice, what lies in it comes twice.
 */
import { DAY_MINUTES, MINUTE_US, minuteOf, offsetAt, wallAt } from './wall-clock.ts'

export { DAY_MINUTES, isTimeZone, MINUTE_US, offsetAt, wallAt } from './wall-clock.ts'

/** On `days`, whenever the wall shows a time in [from, to). */
export interface Schedule {
  /** 1 is Monday. Hours that go over midnight belong to the day on which they begin. */
  days: readonly number[]
  /** `22:00`. Equal to `to`: never. */
  from: string
  /** Up to `24:00`. */
  to: string
  /** `Europe/Berlin`. */
  timeZone: string
}

export const EVERY_DAY: readonly number[] = [1, 2, 3, 4, 5, 6, 7]

/** Nothing in a schedule is further away than a week; a day more for clocks that are put right. */
const LOOK_AHEAD_US = 8 * DAY_MINUTES * MINUTE_US
const HOUR_MINUTES = 60

export function isWithin(schedule: Schedule, us: number): boolean {
  const { minute, weekday } = wallAt(us, schedule.timeZone)
  const [from, to] = [minuteOf(schedule.from), minuteOf(schedule.to)]
  const isToday = schedule.days.includes(weekday)
  if (from <= to) return isToday && from <= minute && minute < to
  const isYesterday = schedule.days.includes(weekday === 1 ? 7 : weekday - 1)
  return (isToday && minute >= from) || (isYesterday && minute < to)
}

/**
 * When it next begins or ends, at the beginning of a minute; the time to look again when that is
 * not within the next days. Steps go by the wall, up to an hour, and by the minute where the wall
 * is put right.
 */
export function nextChangeUs(schedule: Schedule, nowUs: number): number {
  const { timeZone } = schedule
  const edges = [minuteOf(schedule.from), minuteOf(schedule.to), 0]
  const isNow = isWithin(schedule, nowUs)
  let us = Math.floor(nowUs / MINUTE_US) * MINUTE_US
  while (us <= nowUs || (isWithin(schedule, us) === isNow && us - nowUs < LOOK_AHEAD_US)) {
    const { minute } = wallAt(us, timeZone)
    // A full day where the wall stands at the edge itself.
    const left = edges.map((edge) => (edge - minute + DAY_MINUTES) % DAY_MINUTES || DAY_MINUTES)
    const stepUs = Math.min(...left, HOUR_MINUTES) * MINUTE_US
    us += offsetAt(us, timeZone) === offsetAt(us + stepUs, timeZone) ? stepUs : MINUTE_US
  }
  return us
}
