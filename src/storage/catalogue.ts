/**
 * The catalogue: SQLite in WAL mode with synchronous=FULL. Its transaction is the only commit point
 * of storage: before it, nothing of a commit counts; after it, all of it does (T2).
 */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import type { Definitions, SeriesDefinition } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import type { Span } from '../query/query.ts'
import { CATALOGUE_FORMAT, CATALOGUE_MIGRATIONS, CATALOGUE_SCHEMA } from './catalogue-schema.ts'
import { EventTables } from './event-tables.ts'
import type { RecentEvents } from './recent-events.ts'
import type { RollupCoverage } from './rollup-coverage.ts'
import type { Segment } from './segment-set.ts'
import type { StatePart } from './state-file.ts'

/** Values of `segments.format`: rollups, and readings before decision 0006; readings since. */
const SEGMENT_BY_DUCKDB = 1
const SEGMENT_OWN = 2

/** Everything that one commit makes durable at once. */
export interface CommitRecord {
  offset: number
  committedAtUs: number
  segments: readonly Segment[]
  state: readonly StatePart[]
  definitions: readonly Definitions[]
  events: readonly RecentEvents[]
  /** All ranges of each series that changed. */
  dirty: ReadonlyMap<number, readonly Span[]>
  coverage: readonly RollupCoverage[]
}

export class Catalogue {
  readonly #database: DatabaseSync
  readonly events: EventTables

  private constructor(database: DatabaseSync) {
    this.#database = database
    this.events = new EventTables(database)
  }

  /** Errors: DATA_FORMAT_NEWER. */
  static open(path: string): Catalogue {
    return Catalogue.over(new DatabaseSync(path), path)
  }

  /** Over an open database, which a test may keep beyond a crash. */
  static over(database: DatabaseSync, path: string): Catalogue {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    database.exec(CATALOGUE_SCHEMA)
    const catalogue = new Catalogue(database)
    const format = catalogue.#meta('format') ?? CATALOGUE_FORMAT
    if (format > CATALOGUE_FORMAT) {
      throw new WeirError('DATA_FORMAT_NEWER', `${path} has format ${format}`)
    }
    catalogue.#migrate(format)
    return catalogue
  }

  #migrate(from: number): void {
    this.#transaction(() => {
      for (let format = from; format < CATALOGUE_FORMAT; format++) {
        this.#database.exec(CATALOGUE_MIGRATIONS[format]!)
      }
      this.#setMeta('format', CATALOGUE_FORMAT)
    })
  }

  #meta(key: string): number | undefined {
    const row = this.#database.prepare('SELECT value FROM meta WHERE key = ?').get(key)
    return row === undefined ? undefined : Number(row.value)
  }

  #setMeta(key: string, value: number): void {
    this.#database.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)').run(key, value)
  }

  /** The highest offset that is durable here; -1 when none is. */
  get coveredOffset(): number {
    return this.#meta('covered_offset') ?? -1
  }

  /** µs; 0 when nothing was committed. */
  get committedAtUs(): number {
    return this.#meta('committed_at_us') ?? 0
  }

  commit(record: CommitRecord): void {
    this.#transaction(() => {
      this.#setMeta('covered_offset', record.offset)
      this.#setMeta('committed_at_us', record.committedAtUs)
      this.#insertSegments(record.segments)
      this.#replaceState(record.state)
      for (const definitions of record.definitions) this.#insertDefinitions(definitions)
      for (const events of record.events) this.events.insert(events)
      this.#replaceDirty(record.dirty)
      for (const { windowMs, fromMs, toMs } of record.coverage) {
        this.#run('INSERT OR REPLACE INTO rollup_coverage VALUES (?, ?, ?)', windowMs, fromMs, toMs)
      }
    })
  }

  /** A merge: the merged segment takes the place of its sources. */
  replaceSegments(removed: readonly Segment[], added: Segment): void {
    this.#transaction(() => {
      for (const { file } of removed) this.#run('DELETE FROM segments WHERE file = ?', file)
      this.#insertSegments([added])
    })
  }

  #transaction(work: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      work()
      this.#database.exec('COMMIT')
    } catch (cause) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw cause
    }
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#database.prepare(sql).run(...values)
  }

  #insertSegments(segments: readonly Segment[]): void {
    const insert = this.#database.prepare(
      'INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    )
    for (const s of segments) {
      insert.run(
        ...[s.file, s.kind, s.firstOffset, s.lastOffset, s.rows, s.bytes],
        ...[s.minSeries, s.maxSeries, s.minTimeUs, s.maxTimeUs, Number(s.hasUnverified)],
        ...[s.tail === undefined ? SEGMENT_BY_DUCKDB : SEGMENT_OWN],
        ...[s.tail?.bytes ?? 0, s.tail?.crc ?? 0],
      )
    }
  }

  #replaceState(state: readonly StatePart[]): void {
    const upsert = this.#database.prepare(
      'INSERT OR REPLACE INTO state_parts VALUES (?, ?, ?, ?, ?)',
    )
    for (const { name, position, length, crc, plainLength } of state) {
      upsert.run(name, position, length, crc, plainLength)
    }
  }

  #insertDefinitions({ series, texts }: Definitions): void {
    const insertSeries = this.#database.prepare(
      'INSERT OR IGNORE INTO series VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    )
    for (const one of series) {
      const { tenant, deviceId, deviceType, metric, kind } = one
      const dimensions = JSON.stringify(one.dimensions)
      insertSeries.run(
        ...[one.series, one.device, tenant, deviceId, deviceType, metric, dimensions, kind],
      )
    }
    const insertText = this.#database.prepare('INSERT OR IGNORE INTO texts VALUES (?, ?)')
    for (const [id, text] of texts) insertText.run(id, text)
  }

  #replaceDirty(dirty: ReadonlyMap<number, readonly Span[]>): void {
    for (const [series, spans] of dirty) {
      this.#run('DELETE FROM dirty_ranges WHERE series = ?', series)
      for (const { startUs, endUs } of spans) {
        this.#run('INSERT INTO dirty_ranges VALUES (?, ?, ?)', series, startUs, endUs)
      }
    }
  }

  segments(): Segment[] {
    const rows = this.#database.prepare('SELECT * FROM segments').all()
    return rows.map((row) => ({
      kind: row.kind === 'rollup' ? 'rollup' : 'readings',
      file: String(row.file),
      firstOffset: Number(row.first_offset),
      lastOffset: Number(row.last_offset),
      rows: Number(row.row_count),
      bytes: Number(row.bytes),
      minSeries: Number(row.min_series),
      maxSeries: Number(row.max_series),
      minTimeUs: Number(row.min_time_us),
      maxTimeUs: Number(row.max_time_us),
      hasUnverified: row.has_unverified === 1,
      tail:
        row.format === SEGMENT_BY_DUCKDB
          ? undefined
          : { bytes: Number(row.tail_bytes), crc: Number(row.tail_crc) },
    }))
  }

  stateParts(): StatePart[] {
    const rows = this.#database.prepare('SELECT * FROM state_parts').all()
    return rows.map(({ name, position, length, crc, plain_length }) => ({
      name: String(name),
      position: Number(position),
      length: Number(length),
      crc: Number(crc),
      plainLength: Number(plain_length),
    }))
  }

  definitions(): Definitions {
    const series = this.#database.prepare('SELECT * FROM series ORDER BY series').all()
    const texts = this.#database.prepare('SELECT * FROM texts ORDER BY id').all()
    return {
      series: series.map((row) => ({
        series: Number(row.series),
        device: Number(row.device),
        tenant: String(row.tenant),
        deviceId: String(row.device_id),
        deviceType: String(row.device_type),
        metric: String(row.metric),
        dimensions: JSON.parse(String(row.dimensions)) as SeriesDefinition['dimensions'],
        kind: row.kind as SeriesDefinition['kind'],
      })),
      texts: texts.map(({ id, text }) => [Number(id), String(text)]),
    }
  }

  dirtyRanges(): { series: number; span: Span }[] {
    return this.#database
      .prepare('SELECT * FROM dirty_ranges')
      .all()
      .map(({ series, start_us, end_us }) => ({
        series: Number(series),
        span: { startUs: Number(start_us), endUs: Number(end_us) },
      }))
  }

  coverage(): RollupCoverage[] {
    const rows = this.#database.prepare('SELECT * FROM rollup_coverage').all()
    return rows.map((row) => ({
      windowMs: Number(row.window_ms),
      fromMs: Number(row.from_ms),
      toMs: Number(row.to_ms),
    }))
  }

  close(): void {
    this.#database.close()
  }
}
