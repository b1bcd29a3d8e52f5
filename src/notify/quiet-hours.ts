/**
 * Hours in which a recipient is not to be disturbed, by the clock on their wall: it is quiet
 * whenever that clock shows a time in [from, to), see `src/schedule/`.
 */
import { EVERY_DAY, isTimeZone, isWithin, nextChangeUs } from '../schedule/schedule.ts'

export interface QuietHours {
  /** `22:00`. Equal to `to`: never quiet. */
  from: string
  to: string
  /** `Europe/Berlin`. */
  timeZone: string
}

/** Why they cannot be used, or undefined. */
export function refusalOfQuietHours({ from, to, timeZone }: QuietHours): string | undefined {
  for (const time of [from, to]) {
    if (!/^([01]\d|2[0-3]):[0-5]\d$/.test(time)) return `${time} is no time such as 22:00`
  }
  return isTimeZone(timeZone) ? undefined : `${timeZone} is no time zone such as Europe/Berlin`
}

/**
 * When the quiet that is at `nowUs` ends, at the beginning of a minute; undefined when it is not
 * quiet.
 */
export function quietUntilUs(hours: QuietHours, nowUs: number): number | undefined {
  const schedule = { ...hours, days: EVERY_DAY }
  return isWithin(schedule, nowUs) ? nextChangeUs(schedule, nowUs) : undefined
}
