/**
 * Durations and byte counts as people write them (`10s`, `64 MiB`), and back. Inside, a duration
 * is integer microseconds and a size is bytes.
 */
const DURATION_UNITS_US = {
  ms: 1_000,
  s: 1_000_000,
  m: 60_000_000,
  h: 3_600_000_000,
  d: 86_400_000_000,
} as const

const BYTE_UNITS = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 } as const

export const DURATION_PATTERN = '^\\d{1,12}(ms|s|m|h|d)$'
export const BYTES_PATTERN = '^\\d{1,12} ?(B|KiB|MiB|GiB|TiB)$'

/** `5m` → 300,000,000 µs. Undefined when it is no duration, or beyond 2^53 µs (285 years). */
export function parseDurationUs(text: string): number | undefined {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text)
  if (match === null) return undefined
  const us = Number(match[1]) * DURATION_UNITS_US[match[2] as keyof typeof DURATION_UNITS_US]
  return Number.isSafeInteger(us) ? us : undefined
}

/** The largest unit that divides `us`: 300,000,000 → `5m`. Microseconds below 1 ms do not occur. */
export function formatDurationUs(us: number): string {
  const units = Object.entries(DURATION_UNITS_US).toReversed()
  const [name, unitUs] = units.find(([, unit]) => us >= unit && us % unit === 0) ?? ['ms', 1_000]
  return `${us / unitUs}${name}`
}

/** `64 MiB` → 67,108,864. Undefined when it is no size. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d{1,12}) ?(B|KiB|MiB|GiB|TiB)$/.exec(text)
  if (match === null) return undefined
  const bytes = Number(match[1]) * BYTE_UNITS[match[2] as keyof typeof BYTE_UNITS]
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** The largest unit that divides `bytes`: 67,108,864 → `64 MiB`. */
export function formatBytes(bytes: number): string {
  const units = Object.entries(BYTE_UNITS).toReversed()
  const [name, unit] = units.find(([, size]) => bytes >= size && bytes % size === 0) ?? ['B', 1]
  return `${bytes / unit} ${name}`
}

/** µs since 1970 → RFC 3339 in UTC: milliseconds, and microseconds where there are some. */
export function formatTimeUs(us: number): string {
  const microseconds = ((us % 1000) + 1000) % 1000
  const text = new Date((us - microseconds) / 1000).toISOString()
  return microseconds === 0 ? text : text.replace('Z', `${String(microseconds).padStart(3, '0')}Z`)
}
