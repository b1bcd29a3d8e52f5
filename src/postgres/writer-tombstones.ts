/**
 * Tombstones as one writer knows them. Nearly always a batch has nothing of an erased device, and
 * costs one question that finds nothing new; series have no names here any more, so those that have
 * the hash of an erased device are looked up, once.
 */
import type pg from 'pg'
import { addSpan, contains, type Span } from '../query/query.ts'
import type { WriterBatch } from './postgres.ts'
import type { SeriesIds } from './series-ids.ts'

/** By index of a SeriesIds; those that are not in it have none. */
export type ErasedSeries = ReadonlyMap<number, readonly Span[]>

const keyOf = (tenant: string, deviceId: string): string => `${tenant}\0${deviceId}`

interface Known {
  /** Of `SeriesIds.count`. */
  upTo: number
  spans: Map<number, readonly Span[]>
}

interface TombstoneRow {
  number: number
  tenant: string
  device_id: string
  device_hash: number
  from_us: number
  to_us: number
}

export class WriterTombstones {
  readonly #byDevice = new Map<string, readonly Span[]>()
  readonly #hashes = new Set<number>()
  #bySeries = new WeakMap<SeriesIds, Known>()
  /** Of the newest that is known. */
  newest = 0

  /** Whether there were any behind `newest`; they are known then. */
  async load(client: pg.ClientBase, newest: number): Promise<boolean> {
    const { rows } = await client.query<TombstoneRow>(
      'SELECT * FROM tombstone WHERE number > $1 ORDER BY number',
      [newest],
    )
    for (const { number, tenant, device_id, device_hash, from_us, to_us } of rows) {
      if (number <= this.newest) continue
      const key = keyOf(tenant, device_id)
      const span = { startUs: from_us, endUs: to_us }
      this.#byDevice.set(key, addSpan(this.#byDevice.get(key) ?? [], span, Infinity))
      this.#hashes.add(device_hash)
      this.newest = number
      this.#bySeries = new WeakMap()
    }
    return rows.length > 0
  }

  /** All of them have ids. */
  async ofSeries(client: pg.ClientBase, series: SeriesIds): Promise<ErasedSeries> {
    // Another batch may bring new ones meanwhile: what is found here is not good for those.
    const bySeries = this.#bySeries
    const known = bySeries.get(series) ?? { upTo: 0, spans: new Map() }
    const indices = new Map<number, number>()
    for (let index = known.upTo; index < series.count; index++) {
      if (this.#hashes.has(series.hashes[index]!)) indices.set(series.ids[index]!, index)
    }
    if (indices.size > 0) {
      const { rows } = await client.query<{ id: number; tenant: string; device_id: string }>(
        'SELECT id, tenant, device_id FROM series WHERE id = ANY ($1::integer[])',
        [[...indices.keys()]],
      )
      for (const { id, tenant, device_id } of rows) {
        const spans = this.#byDevice.get(keyOf(tenant, device_id))
        if (spans !== undefined) known.spans.set(indices.get(id)!, spans)
      }
    }
    known.upTo = series.count
    bySeries.set(series, known)
    return known.spans
  }

  /** Of a batch's events. */
  withoutErased({
    anomalies,
    deadLetters,
  }: WriterBatch): Pick<WriterBatch, 'anomalies' | 'deadLetters'> {
    return {
      ...(anomalies && {
        anomalies: anomalies.filter((one) => !this.#isErased(one, one.eventTimeUs)),
      }),
      ...(deadLetters && {
        deadLetters: deadLetters.filter((one) => !this.#isErased(one, one.receivedAtUs)),
      }),
    }
  }

  #isErased({ tenant, deviceId }: { tenant: string; deviceId: string }, timeUs: number): boolean {
    return contains(this.#byDevice.get(keyOf(tenant, deviceId)) ?? [], timeUs)
  }
}
