/**
 * Hours in which a recipient is not to be disturbed, by the clock on their wall: a time zone of
 * IANA, with its summer time. It is quiet whenever that clock shows a time in [from, to); so on the
 * night when an hour is left out, quiet hours may be shorter or not be, and on the night when an
 * hour comes twice, what lies in it comes twice.
 */

export interface QuietHours {
  /** `22:00`. Equal to `to`: never quiet. */
  from: string
  to: string
  /** `Europe/Berlin`. */
  timeZone: string
}

const MINUTE_US = 60_000_000
const HOUR_MINUTES = 60
const DAY_MINUTES = 1440

/** Why they cannot be used, or undefined. */
export function refusalOfQuietHours({ from, to, timeZone }: QuietHours): string | undefined {
  for (const time of [from, to]) {
    if (!/^([01]\d|2[0-3]):[0-5]\d$/.test(time)) return `${time} is no time such as 22:00`
  }
  try {
    formatOf(timeZone)
    return undefined
  } catch {
    return `${timeZone} is no time zone such as Europe/Berlin`
  }
}

/**
 * When the quiet that is at `nowUs` ends, at the beginning of a minute; undefined when it is not
 * quiet. Steps go by the wall, up to an hour, and by the minute where the wall is put right.
 */
export function quietUntilUs(hours: QuietHours, nowUs: number): number | undefined {
  const [from, to] = [minuteOf(hours.from), minuteOf(hours.to)]
  const wallMinute = (us: number): number => wallOf(us, hours.timeZone).minute
  const isQuiet = (us: number): boolean =>
    (wallMinute(us) - from + DAY_MINUTES) % DAY_MINUTES < (to - from + DAY_MINUTES) % DAY_MINUTES
  if (!isQuiet(nowUs)) return undefined
  let us = Math.floor(nowUs / MINUTE_US) * MINUTE_US
  while (isQuiet(us)) {
    const left = (to - wallMinute(us) + DAY_MINUTES) % DAY_MINUTES
    const stepUs = Math.min(left, HOUR_MINUTES) * MINUTE_US
    const isSteady = offsetOf(us, hours.timeZone) === offsetOf(us + stepUs, hours.timeZone)
    us += isSteady ? stepUs : MINUTE_US
  }
  return us
}

const minuteOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3))

/**
 * The day (1 is Monday) on which the hours began that are at `nowUs`: those that go past midnight
 * are of the day before it.
 */
export function dayOfHours({ from, to, timeZone }: QuietHours, nowUs: number): number {
  const { minute, sinceEpoch } = wallOf(nowUs, timeZone)
  const isPastMidnight = minuteOf(from) > minuteOf(to) && minute < minuteOf(to)
  const days = Math.floor(sinceEpoch / DAY_MINUTES) - (isPastMidnight ? 1 : 0)
  // 1970-01-01 was a Thursday.
  return ((((days + 3) % 7) + 7) % 7) + 1
}

/** Minutes that the wall is ahead of UTC. */
const offsetOf = (us: number, timeZone: string): number =>
  wallOf(us, timeZone).sinceEpoch - Math.floor(us / MINUTE_US)

/** What the clock on the wall shows: minute of the day, and minutes as if its day were UTC's. */
function wallOf(us: number, timeZone: string): { minute: number; sinceEpoch: number } {
  const parts = formatOf(timeZone).formatToParts(us / 1000)
  const get = (type: Intl.DateTimeFormatPartTypes): number =>
    Number(parts.find((part) => part.type === type)?.value)
  const minute = get('hour') * 60 + get('minute')
  const dayMs = Date.UTC(get('year'), get('month') - 1, get('day'))
  return { minute, sinceEpoch: dayMs / 60_000 + minute }
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
