/** Which answers a change concerns, found without looking at all of them. */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { GroupsAnswer, ReadingsAnswer, Span, WindowsAnswer } from '../query/query.ts'

export interface Watched extends Span {
  tenant: string
  metric: string
  /** Undefined: of many. */
  deviceId: string | undefined
  series: ReadonlySet<number>
  isStale: boolean
}

/** Answers of more series are wide: they are looked at one by one. */
const NARROW_SERIES_MAX = 16
/** Narrow answers that watch one series, wide ones, and ones of many devices: the oldest goes. */
const PER_SERIES_MAX = 64
const WIDE_MAX = 64
const MANY_MAX = 64

export class Watch<One extends Watched> {
  readonly #bySeries = new Map<number, Set<One>>()
  readonly #wide = new Set<One>()
  readonly #byDevice = new Map<string, Set<One>>()
  readonly #ofMany = new Set<One>()
  /** By series: so many watch it. */
  #counts = new Uint16Array(1024)
  #size = 0

  get isEmpty(): boolean {
    return this.#size === 0
  }

  isWatched(series: number): boolean {
    return this.#counts[series]! > 0
  }

  /** Returns those that have to make room. */
  add(one: One): One[] {
    const crowd: One[] = []
    const put = (into: Set<One>, max: number): void => {
      const [oldest] = into
      if (into.size >= max) crowd.push(oldest!)
      into.add(one)
    }
    this.#size++
    for (const series of one.series) {
      this.#count(series, 1)
      if (!isWide(one)) put(setOf(this.#bySeries, series), PER_SERIES_MAX)
    }
    if (isWide(one)) put(this.#wide, WIDE_MAX)
    if (one.deviceId === undefined) put(this.#ofMany, MANY_MAX)
    else setOf(this.#byDevice, deviceKey(one.tenant, one.deviceId)).add(one)
    return crowd
  }

  /** May be called again. */
  remove(one: One): void {
    const isHere =
      one.deviceId === undefined
        ? this.#ofMany.delete(one)
        : drop(this.#byDevice, deviceKey(one.tenant, one.deviceId), one)
    if (!isHere) return
    this.#size--
    this.#wide.delete(one)
    for (const series of one.series) {
      this.#count(series, -1)
      if (!isWide(one)) drop(this.#bySeries, series, one)
    }
  }

  /** Those that have the series, and time from the first to the last of these. */
  touchedBy(series: number, firstUs: number, lastUs: number): One[] {
    const touched: One[] = []
    if (!this.isWatched(series)) return touched
    // For each reading of a series that is watched, and mostly in vain: so without copies.
    for (const one of this.#bySeries.get(series) ?? NONE) {
      if (firstUs < one.endUs && one.startUs <= lastUs) touched.push(one as One)
    }
    for (const one of this.#wide) {
      const isTouched = firstUs < one.endUs && one.startUs <= lastUs
      if (isTouched && one.series.has(series)) touched.push(one)
    }
    return touched
  }

  /** A series that is new may belong to these. */
  concernedBy({ tenant, deviceId, metric }: SeriesDefinition): One[] {
    const ofDevice = this.#byDevice.get(deviceKey(tenant, deviceId)) ?? []
    return [...ofDevice, ...this.#ofMany].filter(
      (one) => one.tenant === tenant && one.metric === metric,
    )
  }

  #count(series: number, by: number): void {
    if (series >= this.#counts.length) {
      const grown = new Uint16Array(Math.max(series + 1, this.#counts.length * 2))
      grown.set(this.#counts)
      this.#counts = grown
    }
    this.#counts[series] = this.#counts[series]! + by
  }
}

const NONE: readonly Watched[] = []

const isWide = ({ series }: Watched): boolean => series.size > NARROW_SERIES_MAX

const deviceKey = (tenant: string, deviceId: string): string => `${tenant}\0${deviceId}`

function setOf<Key, One>(map: Map<Key, Set<One>>, key: Key): Set<One> {
  const known = map.get(key)
  if (known !== undefined) return known
  const fresh = new Set<One>()
  map.set(key, fresh)
  return fresh
}

/** False: it was not there. */
function drop<Key, One>(map: Map<Key, Set<One>>, key: Key, one: One): boolean {
  const known = map.get(key)
  const isDropped = known?.delete(one) === true
  if (known?.size === 0) map.delete(key)
  return isDropped
}

const ANSWER_BYTES = 1000
/** A time and a value in an array of their own, and what refers to it. */
const POINT_BYTES = 72
const WINDOW_BYTES = 200
const SERIES_BYTES = 300

/** What an answer takes in memory; an estimate that is rather too high. */
export function answerBytes(answer: ReadingsAnswer | WindowsAnswer | GroupsAnswer): number {
  if ('windows' in answer) return ANSWER_BYTES + answer.windows.length * WINDOW_BYTES
  const lists = 'groups' in answer ? answer.groups.map((one) => one.points) : [answer.points]
  const series = 'groups' in answer ? 0 : answer.meta.series.length
  const points = lists.map(pointsBytes).reduce((sum, bytes) => sum + bytes, 0)
  return ANSWER_BYTES + series * SERIES_BYTES + lists.length * SERIES_BYTES + points
}

const pointsBytes = (points: ReadingsAnswer['points']): number =>
  points.reduce(
    (sum, [, value]) => sum + (typeof value === 'string' ? 2 * value.length : 0),
    points.length * POINT_BYTES,
  )
