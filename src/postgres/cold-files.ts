/** Reads one series' rows of files in the object store: the lake's form, so any tool reads them. */
import { WeirError } from '../errors/errors.ts'
import {
  LAKE_TIME,
  readLakeRows,
  readLakeTables,
  type LakeFileSource,
  type LakeRows,
} from '../lake/lake.ts'
import type { Objects } from '../objects/objects.ts'
import type { Span } from '../query/query.ts'
import type { ColdFile, ColdRun } from './cold-tables.ts'

/** Page tables of so many files stay in memory, some kilobytes each. */
const KNOWN_FILES_MAX = 256

const ALWAYS: Span = { startUs: -Infinity, endUs: Infinity }

export class ColdFiles {
  readonly #objects: Objects | undefined
  /** By key, in the order of their last use. */
  readonly #known = new Map<string, Promise<LakeFileSource['tables']>>()

  /** Without objects there is nothing to be read, and it is an error if there should be. */
  constructor(objects: Objects | undefined) {
    this.#objects = objects
  }

  /**
   * Those in the span, and some beside it: whole pages are read. Errors: OBJECTS_UNAVAILABLE,
   * OBJECTS_REFUSED, OBJECT_MISSING, DATA_FILE_DAMAGED.
   */
  async rows(run: ColdRun, isText: boolean, span: Span = ALWAYS): Promise<LakeRows> {
    const { file } = run
    const source = { key: file.key, fetch: this.#fetcher(file) }
    const tables = await this.#tables(file, source)
    return readLakeRows({ ...source, tables }, { ...rowsWithin(tables, run, span), isText })
  }

  #fetcher({ key }: ColdFile): LakeFileSource['fetch'] {
    const objects = this.#objects
    if (objects !== undefined) return (range) => objects.get(key, range)
    const detail = 'Readings of this question are in the lake: this process needs lake.bucket'
    throw new WeirError('OBJECTS_REFUSED', detail)
  }

  #tables(
    { key, bytes, tail }: ColdFile,
    source: Omit<LakeFileSource, 'tables'>,
  ): Promise<LakeFileSource['tables']> {
    const known = this.#known.get(key) ?? readLakeTables(source, { bytes, tail })
    this.#known.delete(key)
    this.#known.set(key, known)
    // What failed is tried again by the next question.
    known.catch(() => this.#known.delete(key))
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= KNOWN_FILES_MAX) break
      this.#known.delete(oldest)
    }
    return known
  }
}

/** Of a run, without the pages that are wholly before or behind the span. */
function rowsWithin(
  tables: LakeFileSource['tables'],
  { firstRow, rows }: ColdRun,
  { startUs, endUs }: Span,
): { from: number; to: number } {
  const { count, firstRow: pageRow, least, most } = tables[LAKE_TIME]!
  let [from, to] = [firstRow, firstRow + rows]
  for (let page = 0; page < count; page++) {
    const [start, end] = [pageRow[page]!, pageRow[page + 1]!]
    // The bounds of others tell of other series, too.
    if (start < firstRow || end > firstRow + rows) continue
    if (most[page]! < startUs) from = Math.max(from, end)
    else if (least[page]! >= endUs) to = Math.min(to, start)
  }
  return { from, to: Math.max(from, to) }
}
