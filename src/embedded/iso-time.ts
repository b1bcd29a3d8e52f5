/** µs since 1970 → RFC 3339, whole milliseconds. */
export const isoTime = (us: number): string => new Date(us / 1000).toISOString()
