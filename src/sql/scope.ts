/** What a statement can see of readings or windows at most: what is outside changes no answer. */
export interface SqlScope {
  /** Event times of readings, or starts of windows, µs; start included, end excluded. */
  startUs: number
  endUs: number
  /** Undefined: any. */
  deviceIds: readonly string[] | undefined
  metrics: readonly string[] | undefined
}

export const ANYTHING: SqlScope = {
  ...{ startUs: -Infinity, endUs: Infinity },
  ...{ deviceIds: undefined, metrics: undefined },
}

const isEmpty = ({ startUs, endUs, deviceIds, metrics }: SqlScope): boolean =>
  startUs >= endUs || deviceIds?.length === 0 || metrics?.length === 0

/** What is in both. */
export const bothOf = (one: SqlScope, other: SqlScope): SqlScope => ({
  startUs: Math.max(one.startUs, other.startUs),
  endUs: Math.min(one.endUs, other.endUs),
  deviceIds: commonOf(one.deviceIds, other.deviceIds),
  metrics: commonOf(one.metrics, other.metrics),
})

/** What is in either, and perhaps more. */
export function eitherOf(one: SqlScope, other: SqlScope): SqlScope {
  if (isEmpty(one)) return other
  if (isEmpty(other)) return one
  return {
    startUs: Math.min(one.startUs, other.startUs),
    endUs: Math.max(one.endUs, other.endUs),
    deviceIds: joinedOf(one.deviceIds, other.deviceIds),
    metrics: joinedOf(one.metrics, other.metrics),
  }
}

type Names = readonly string[] | undefined

function commonOf(one: Names, other: Names): Names {
  if (one === undefined || other === undefined) return one ?? other
  const known = new Set(other)
  return one.filter((name) => known.has(name))
}

const joinedOf = (one: Names, other: Names): Names =>
  one === undefined || other === undefined ? undefined : [...new Set([...one, ...other])]
