/**
 * The series of one partition, as a writer numbers them and as PostgreSQL does.
 *
 * Who decodes a topic calls add() for each series once and puts the index into the columns of its
 * batches; the writer finds ids for all that were added since its last batch in one go. So a
 * reading of a known series costs one look into an array, however many series there are (8 bytes
 * each; the names are forgotten once they have ids). To bound it, begin a new one.
 */
import type pg from 'pg'
import { withoutNul } from './copy.ts'
import { KIND_CODES, type PlacedSeries } from './postgres.ts'

/** Series that one statement looks for. */
const LOOKUP_MAX = 20_000

export class SeriesIds {
  /** By index; 0 is none yet: PostgreSQL begins at 1. */
  #ids = new Int32Array(256)
  #hashes = new Int32Array(256)
  #count = 0
  #found = 0
  #wanted: PlacedSeries[] = []

  get count(): number {
    return this.#count
  }

  /** The index of a series that is not here yet. */
  add(name: PlacedSeries): number {
    if (this.#count === this.#ids.length) {
      this.#ids = grown(this.#ids)
      this.#hashes = grown(this.#hashes)
    }
    this.#hashes[this.#count] = name.deviceHash
    this.#wanted.push(name)
    return this.#count++
  }

  /** PostgreSQL's ids by index, of all that were found. */
  get ids(): Int32Array {
    return this.#ids
  }

  /** `deviceHash` by index. */
  get hashes(): Int32Array {
    return this.#hashes
  }

  /** Whether all have ids. */
  get isComplete(): boolean {
    return this.#found === this.#count
  }

  /**
   * Finds or makes the next few that have none. `client` is in a transaction whose COMMIT is
   * durable before `kept` is called: what a crash took back would be given to another series.
   */
  async findSome(client: pg.ClientBase): Promise<{ kept: () => void }> {
    const names = this.#wanted.slice(0, LOOKUP_MAX)
    const columns = columnsOf(names)
    const found = new Int32Array(names.length)
    const note = (rows: { at: number; id: number }[]): number => {
      for (const { at, id } of rows) found[at - 1] = id
      return rows.length
    }
    let known = note((await client.query<{ at: number; id: number }>(FIND, columns)).rows)
    if (known < names.length) {
      await client.query(MAKE, columns)
      known = note((await client.query<{ at: number; id: number }>(FIND, columns)).rows)
      if (known < names.length) throw new RangeError('a series was made and is not there')
    }
    return {
      kept: () => {
        this.#ids.set(found, this.#found)
        this.#found += found.length
        this.#wanted = this.#wanted.slice(found.length)
      },
    }
  }
}

const grown = (numbers: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
  const more = new Int32Array(numbers.length * 2)
  more.set(numbers)
  return more
}

const columnsOf = (names: readonly PlacedSeries[]): unknown[] => [
  names.map(({ tenant }) => withoutNul(tenant)),
  names.map(({ deviceId }) => withoutNul(deviceId)),
  names.map(({ deviceType }) => withoutNul(deviceType)),
  names.map(({ metric }) => withoutNul(metric)),
  names.map(({ dimensions }) => JSON.stringify(dimensions)),
  names.map(({ kind }) => KIND_CODES[kind]),
]

const WANTED = `unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[])
  WITH ORDINALITY AS wanted (tenant, device_id, device_type, metric, dimensions, kind, at)`

const FIND = `SELECT at, id FROM ${WANTED}
  JOIN series USING (tenant, device_id, metric, dimensions, kind)`

/**
 * Numbers are spent on what is there already, so only the missing are tried; two writers meet in
 * the order of the key, or each would wait for the other.
 */
const MAKE = `INSERT INTO series (tenant, device_id, device_type, metric, dimensions, kind)
  SELECT tenant, device_id, device_type, metric, dimensions, kind FROM ${WANTED}
  WHERE NOT EXISTS (
    SELECT FROM series WHERE (series.tenant, series.device_id, series.metric, series.dimensions, series.kind)
      = (wanted.tenant, wanted.device_id, wanted.metric, wanted.dimensions, wanted.kind)
  )
  ORDER BY tenant, device_id, metric, dimensions, kind, at
  ON CONFLICT DO NOTHING`
