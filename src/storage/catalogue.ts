/**
 * The catalogue: SQLite in WAL mode with synchronous=FULL. Its transaction is the only commit point
 * of storage: before it, nothing of a commit counts; after it, all of it does (T2).
 */
import { backup, DatabaseSync, type SQLInputValue } from 'node:sqlite'
import type { Definitions } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import type { Span } from '../query/query.ts'
import {
  checkStructure,
  damaged,
  emptyWriteAheadLog,
  guarded,
  isIntact,
  schemaCrc,
  withCrc,
  type Row,
} from '../sqlite/sqlite.ts'
import { CATALOGUE_FORMAT, CATALOGUE_MIGRATIONS, CATALOGUE_SCHEMA } from './catalogue-schema.ts'
import { ColdTables, type ColdRuns, type ColdSegment } from './cold-tables.ts'
import { definitionsOf, insertDefinitions } from './definition-rows.ts'
import { ErasureTables, type Erasure } from './erasure-tables.ts'
import { EventTables } from './event-tables.ts'
import type { RangesBySeries } from './late-ranges.ts'
import type { RecentEvents } from './recent-events.ts'
import type { RollupCoverage, SummedUp } from './rollup-coverage.ts'
import type { SalvagedEvents } from './salvage-events.ts'
import { segmentOf, segmentValues } from './segment-rows.ts'
import type { Segment } from './segment-set.ts'
import type { StatePart } from './state-file.ts'
import { SummaryTables } from './summary-tables.ts'

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
  /** All of each series that changed. */
  late: RangesBySeries
}

/** Beyond a commit's. */
export interface MadeOfFiles {
  cold: readonly { segment: ColdSegment; runs: ColdRuns }[]
  summedUp: SummedUp | undefined
  erasures: readonly Erasure[]
  events: SalvagedEvents
}

export class Catalogue {
  readonly #database: DatabaseSync
  readonly #path: string
  readonly events: EventTables
  readonly cold: ColdTables
  readonly erasures: ErasureTables
  readonly summaries: SummaryTables
  #rollupsFromUs: number | undefined

  private constructor(database: DatabaseSync, path: string) {
    this.#database = database
    this.#path = path
    this.events = new EventTables(database)
    this.cold = new ColdTables(database, path)
    this.erasures = new ErasureTables(database, path)
    this.summaries = new SummaryTables(database, path)
  }

  /** Errors: DATA_FORMAT_NEWER; DATA_FILE_DAMAGED, also when a file that must exist does not. */
  static open(path: string, { mustExist }: { mustExist: boolean }): Catalogue {
    return guarded(path, () => {
      const database = new DatabaseSync(path)
      try {
        return Catalogue.over(database, path, { mustExist })
      } catch (error) {
        database.close()
        throw error
      }
    })
  }

  /** Over an open database, which a test may keep beyond a crash. */
  static over(
    database: DatabaseSync,
    path: string,
    { mustExist }: { mustExist: boolean },
  ): Catalogue {
    // One process has the folder, so no index of the WAL need be shared: that would be a mapped
    // file, and on a full disk its first use ends the process. To be said before the first read.
    database.exec('PRAGMA locking_mode = EXCLUSIVE')
    const isNew =
      database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").get() === undefined
    if (isNew && mustExist) throw damaged(path, 'is missing or empty, though there are segments')
    const catalogue = new Catalogue(database, path)
    // The format comes first: a newer file must not even be switched to WAL.
    const format = isNew ? 1 : catalogue.#format()
    if (format > CATALOGUE_FORMAT) {
      throw new WeirError(
        'DATA_FORMAT_NEWER',
        `${path} has format ${format}; this version knows up to ${CATALOGUE_FORMAT}`,
      )
    }
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    // Of a dead letter that was erased nothing is left in the file's free space.
    database.exec('PRAGMA secure_delete = ON')
    checkStructure(database, path)
    catalogue.#migrate(format, isNew)
    if (catalogue.#meta('schema') !== schemaCrc(database)) {
      throw damaged(path, 'has other tables than those that were made')
    }
    return catalogue
  }

  /** Before the migration, when its row may have no checksum yet. */
  #format(): number {
    const row = this.#database
      .prepare('SELECT * FROM meta')
      .all()
      .find(({ key }) => key === 'format')
    if (row === undefined) throw damaged(this.#path, 'says nowhere which format it has')
    if ('row_crc' in row) this.#checked('meta', row)
    return Number(row['value'])
  }

  #migrate(format: number, isNew: boolean): void {
    if (format === CATALOGUE_FORMAT) return
    this.#transaction(() => {
      if (isNew) this.#database.exec(CATALOGUE_SCHEMA)
      for (let from = format; from < CATALOGUE_FORMAT; from++) {
        CATALOGUE_MIGRATIONS[from]!(this.#database)
      }
      this.#setMeta('format', CATALOGUE_FORMAT)
      this.#setMeta('schema', schemaCrc(this.#database))
    })
  }

  #meta(key: string): number | undefined {
    // Not by its index, whose keys have no checksums.
    const row = this.#rows('meta').find((one) => one['key'] === key)
    return row === undefined ? undefined : Number(row['value'])
  }

  #setMeta(key: string, value: number): void {
    const values = withCrc(key, value)
    this.#run('INSERT OR REPLACE INTO meta VALUES (?, ?, ?)', ...values)
  }

  /** The row itself. Errors: DATA_FILE_DAMAGED when it is not what was written. */
  #checked(table: string, row: Row): Row {
    if (isIntact(row)) return row
    const [key] = Object.values(row)
    throw damaged(this.#path, `a row of ${table} fails its checksum: ${JSON.stringify(key)}`)
  }

  #rows(table: string, order = ''): Row[] {
    const rows = this.#database.prepare(`SELECT * FROM ${table} ${order}`).all()
    return rows.map((row) => this.#checked(table, row))
  }

  /** The highest offset that is durable here; -1 when none is. */
  get coveredOffset(): number {
    const offset = this.#meta('covered_offset')
    if (offset === undefined && this.segments().length > 0) {
      throw damaged(this.#path, 'has segments, and says nowhere up to which offset')
    }
    return offset ?? -1
  }

  /** µs; 0 when nothing was committed. */
  get committedAtUs(): number {
    return this.#meta('committed_at_us') ?? 0
  }

  commit(record: CommitRecord): void {
    this.#transaction(() => {
      this.#put(record)
      if (this.isStateLost) this.#setMeta('is_state_lost', 0)
    })
  }

  #put(record: CommitRecord): void {
    this.#setMeta('covered_offset', record.offset)
    this.#setMeta('committed_at_us', record.committedAtUs)
    this.#insertSegments(record.segments)
    this.#replaceState(record.state)
    for (const definitions of record.definitions) insertDefinitions(this.#database, definitions)
    for (const events of record.events) this.events.insert(events)
    this.#replaceDirty(record.dirty)
    this.#putCoverage(record.coverage)
    this.summaries.putLate(record.late)
  }

  /** What was made of files alone, in one transaction: see repair.ts. */
  makeOf(record: CommitRecord, more: MadeOfFiles): void {
    const { cold, summedUp, erasures, events } = more
    this.#transaction(() => {
      this.#put(record)
      this.#setMeta('is_state_lost', 1)
      this.cold.insert(cold)
      if (summedUp !== undefined) this.summaries.setSummedUp(summedUp)
      for (const erasure of erasures) this.erasures.put(erasure)
      this.events.insertRows(events)
    })
  }

  /** The stream's state was lost with the catalogue, and nothing was committed since. */
  get isStateLost(): boolean {
    return this.#meta('is_state_lost') === 1
  }

  /** A merge: what was merged takes the place of its sources. */
  replaceSegments(
    removed: readonly Segment[],
    added: readonly Segment[],
    cold: readonly { segment: ColdSegment; runs: ColdRuns }[] = [],
    also: () => void = () => undefined,
  ): void {
    this.#transaction(() => {
      for (const { file, isCold } of removed) {
        if (!isCold) this.#run('DELETE FROM segments WHERE file = ?', file)
      }
      const gone = removed.filter(({ isCold }) => isCold).map(({ file }) => file)
      this.cold.delete(gone)
      this.cold.insertPending(gone)
      this.#insertSegments(added)
      this.cold.insert(cold)
      also()
    })
  }

  /** A file that is put now: until it counts, and when it no longer does. */
  coldMayBeThere(file: string): void {
    this.#transaction(() => this.cold.insertPending([file]))
  }

  coldIsGone(file: string): void {
    this.#transaction(() => this.cold.deletePending(file))
  }

  putErasure(erasure: Erasure): void {
    this.#transaction(() => this.erasures.put(erasure))
  }

  /** The anomalies and dead letters of it go. */
  eraseEvents(erasure: Erasure): Erasure {
    let events = erasure.events
    this.#transaction(() => {
      events += this.erasures.deleteEvents(erasure)
      this.erasures.put({ ...erasure, events })
    })
    this.events.forgetCounts()
    return { ...erasure, events }
  }

  /** Windows that start before are computed from readings from now on. */
  forgetRollups(removed: readonly Segment[], beforeUs: number): void {
    this.#transaction(() => {
      for (const { file } of removed) this.#run('DELETE FROM segments WHERE file = ?', file)
      this.#setMeta('rollups_from_us', Math.max(beforeUs, this.rollupsFromUs))
    })
    this.#rollupsFromUs = undefined
  }

  /** Before it, no window's partial is kept. */
  get rollupsFromUs(): number {
    return (this.#rollupsFromUs ??= this.#meta('rollups_from_us') ?? 0)
  }

  confirmExported(beforeUs: number): void {
    this.#transaction(() => this.#setMeta('exported_before_us', beforeUs))
  }

  /** Readings before it were exported, as somebody has confirmed. */
  get exportedBeforeUs(): number {
    return this.#meta('exported_before_us') ?? -Infinity
  }

  /** Rollups of what is summed up now, or again: then `late` is what is left of its ranges. */
  addSummaries(
    added: readonly Segment[],
    { summedUp, late }: { summedUp?: SummedUp; late?: RangesBySeries },
  ): void {
    this.#transaction(() => {
      this.#insertSegments(added)
      if (summedUp !== undefined) this.summaries.setSummedUp(summedUp)
      if (late !== undefined) this.summaries.putLate(late)
    })
  }

  #putCoverage(coverage: readonly RollupCoverage[]): void {
    for (const { windowMs, fromMs, toMs } of coverage) {
      this.#run(
        'INSERT OR REPLACE INTO rollup_coverage VALUES (?, ?, ?, ?)',
        ...withCrc(windowMs, fromMs, toMs),
      )
    }
  }

  setFileChecksum(segment: Segment): void {
    this.#transaction(() => this.#insertSegments([segment]))
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
    // Behind this line log entries, segments and parts of the state go that an older commit needs.
    emptyWriteAheadLog(this.#database)
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#database.prepare(sql).run(...values)
  }

  #insertSegments(segments: readonly Segment[]): void {
    const insert = this.#database.prepare(
      'INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    )
    for (const s of segments) {
      insert.run(...segmentValues(s))
    }
  }

  #replaceState(state: readonly StatePart[]): void {
    this.#run('DELETE FROM state_parts')
    const insert = this.#database.prepare('INSERT INTO state_parts VALUES (?, ?, ?, ?, ?, ?)')
    for (const { name, position, length, crc, plainLength } of state) {
      insert.run(...withCrc(name, position, length, crc, plainLength))
    }
  }

  #replaceDirty(dirty: ReadonlyMap<number, readonly Span[]>): void {
    for (const [series, spans] of dirty) {
      this.#run('DELETE FROM dirty_ranges WHERE series = ?', series)
      for (const { startUs, endUs } of spans) {
        this.#run(
          'INSERT INTO dirty_ranges VALUES (?, ?, ?, ?)',
          ...withCrc(series, startUs, endUs),
        )
      }
    }
  }

  segments(): Segment[] {
    const onDisk = this.#rows('segments').map(segmentOf)
    return [...onDisk, ...this.cold.segments()]
  }

  stateParts(): StatePart[] {
    return this.#rows('state_parts').map(({ name, position, length, crc, plain_length }) => ({
      name: String(name),
      position: Number(position),
      length: Number(length),
      crc: Number(crc),
      plainLength: Number(plain_length),
    }))
  }

  definitions(): Definitions {
    return definitionsOf(
      this.#rows('series', 'ORDER BY series'),
      this.#rows('texts', 'ORDER BY id'),
    )
  }

  dirtyRanges(): { series: number; span: Span }[] {
    return this.#rows('dirty_ranges').map(({ series, start_us, end_us }) => ({
      series: Number(series),
      span: { startUs: Number(start_us), endUs: Number(end_us) },
    }))
  }

  coverage(): RollupCoverage[] {
    return this.#rows('rollup_coverage').map((row) => ({
      windowMs: Number(row['window_ms']),
      fromMs: Number(row['from_ms']),
      toMs: Number(row['to_ms']),
    }))
  }

  /** A copy of the whole file, as it is now. Not while a commit is under way. */
  async copyTo(path: string): Promise<void> {
    await backup(this.#database, path)
  }

  close(): void {
    this.#database.close()
  }
}
