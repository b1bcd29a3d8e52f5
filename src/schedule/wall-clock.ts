/** What the clock on a wall shows: a time zone of IANA, with its summer time. */

export const MINUTE_US = 60_000_000
export const DAY_MINUTES = 1440

export interface WallTime {
  /** Of the day, from 0. */
  minute: number
  /** 1 is Monday. */
  weekday: number
  /** Minutes as if the wall's day were UTC's. */
  sinceEpoch: number
}

export function wallAt(us: number, timeZone: string): WallTime {
  const parts = formatOf(timeZone).formatToParts(us / 1000)
  const get = (type: Intl.DateTimeFormatPartTypes): number =>
    Number(parts.find((part) => part.type === type)?.value)
  const minute = get('hour') * 60 + get('minute')
  const dayMs = Date.UTC(get('year'), get('month') - 1, get('day'))
  const weekday = new Date(dayMs).getUTCDay() || 7
  return { minute, weekday, sinceEpoch: dayMs / 60_000 + minute }
}

/** Minutes that the wall is ahead of UTC. */
export const offsetAt = (us: number, timeZone: string): number =>
  wallAt(us, timeZone).sinceEpoch - Math.floor(us / MINUTE_US)

/** `22:00` as minutes. */
export const minuteOf = (time: string): number =>
  Number(time.slice(0, 2)) * 60 + Number(time.slice(3))

export function isTimeZone(timeZone: string): boolean {
  try {
    formatOf(timeZone)
    return true
  } catch {
    return false
  }
}

/** Making one takes longer than using it a hundred times; zones are some hundreds at most. */
const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      ...{ timeZone, hourCycle: 'h23', calendar: 'gregory', numberingSystem: 'latn' },
      ...{ year: 'numeric', month: 'numeric', day: 'numeric' },
      ...{ hour: 'numeric', minute: 'numeric' },
    })
    formats.set(timeZone, format)
  }
  return format
}
