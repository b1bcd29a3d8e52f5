/**
 * Erases devices' readings from the files that have left PostgreSQL: each that holds some is put
 * anew without them, and takes its place in one transaction with what the receipt says of it.
 */
import { crc32 } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import { readWholeFile, type SortedReadings } from '../lake/lake.ts'
import type { Objects } from '../objects/objects.ts'
import { deletePending, filesWith, retireFiles, type ColdFile } from './cold-tables.ts'
import { CollectedFile, writeColdFile, type ColdWriterParts } from './cold-writer.ts'
import { noteFile, type ErasedFile, type Erasure } from './erasure-tables.ts'
import { checkLease } from './lease.ts'
import { seriesOf, type SeriesRow } from './query-source.ts'

export interface ColdEraserParts extends Omit<ColdWriterParts, 'objects' | 'counts'> {
  /** Undefined where no lake is known: then there must be no such file. */
  objects: Objects | undefined
  isOver: () => boolean
}

/**
 * `series` are the devices'. Nothing is moved meanwhile: the lease is that of aging. Errors:
 * OBJECTS_UNAVAILABLE, OBJECTS_REFUSED, DATA_FILE_DAMAGED, STORAGE_FENCED.
 */
export async function eraseCold(
  parts: ColdEraserParts,
  erasure: Erasure,
  series: readonly number[],
): Promise<void> {
  const { client, objects, isOver } = parts
  const files = await filesWith(client, series, erasure)
  if (objects === undefined) {
    if (files.length === 0) return
    const detail = 'Readings to be erased are in the lake: this process needs lake.bucket'
    throw new WeirError('OBJECTS_REFUSED', detail)
  }
  // Whoever died at moving may have left some of it.
  await deletePending(client, objects)
  const eraser = new FileEraser({ ...parts, objects }, erasure, new Set(series))
  for (const file of files) {
    if (isOver()) return
    await eraser.erase(file)
  }
  await deletePending(client, objects)
}

class FileEraser {
  readonly #parts: ColdEraserParts & { objects: Objects }
  readonly #erasure: Erasure
  readonly #series: ReadonlySet<number>

  constructor(
    parts: ColdEraserParts & { objects: Objects },
    erasure: Erasure,
    series: ReadonlySet<number>,
  ) {
    this.#parts = parts
    this.#erasure = erasure
    this.#series = series
  }

  async erase(file: ColdFile): Promise<void> {
    const { client, objects } = this.#parts
    let bytes: Uint8Array
    try {
      bytes = await objects.get(file.key)
    } catch (error) {
      const { code } = error as WeirError
      if (code !== 'OBJECT_FROZEN' && code !== 'OBJECT_MISSING') throw error
      return this.#leave(file, code === 'OBJECT_FROZEN')
    }
    if (crc32(bytes) !== file.crc) {
      throw new WeirError('DATA_FILE_DAMAGED', `${file.key}: it is not as it was put`)
    }
    const kept = await this.#keptOf(file, await readWholeFile(file.key, bytes))
    const rows = file.rows - kept.count
    // Its bounds touch the span, and no reading lies in it.
    if (rows === 0) return
    const takePlace = async (after: ColdFile | undefined): Promise<void> => {
      await retireFiles(client, [file.number])
      await this.#note(file, { keyAfter: after?.key, crcAfter: after?.crc, rows })
    }
    if (kept.count > 0) {
      await writeColdFile({ ...this.#parts, counts: takePlace }, kept, file.month)
      return
    }
    await this.#transact(() => takePlace(undefined))
  }

  async #keptOf(
    { number }: ColdFile,
    { timeUs, value, texts }: SortedReadings,
  ): Promise<CollectedFile> {
    const { fromUs, toUs } = this.#erasure
    const { rows: runs } = await this.#parts.client.query<RunRow>(
      `SELECT series.*, first_row, row_count FROM cold_run JOIN series ON id = series
       WHERE file = $1 ORDER BY first_row`,
      [number],
    )
    const kept = new CollectedFile()
    for (const run of runs) {
      const series = seriesOf(run, run.tenant)
      const isErased = this.#series.has(series.series)
      const from = run.first_row
      const rows = Array.from({ length: run.row_count }, (_, at) => from + at).filter(
        (row) => !(isErased && fromUs <= timeUs[row]! && timeUs[row]! < toUs),
      )
      kept.add(series, {
        timeUs: Float64Array.from(rows, (row) => timeUs[row]!),
        value: Float64Array.from(rows, (row) => value[row]!),
        texts: series.kind === 'text' ? rows.map((row) => texts[value[row]!]!) : undefined,
      })
    }
    return kept
  }

  /**
   * What cannot be read stays as it is: nobody is shown what it holds of it. But its last values
   * are here.
   */
  async #leave(file: ColdFile, isFrozen: boolean): Promise<void> {
    const { client } = this.#parts
    const { fromUs, toUs } = this.#erasure
    await this.#transact(async () => {
      await client.query(
        `UPDATE cold_run SET last_value = 0, last_text = NULL
         WHERE file = $1 AND series = ANY ($2::integer[]) AND max_us >= $3 AND max_us < $4`,
        [file.number, [...this.#series], fromUs, toUs],
      )
      const none = { keyAfter: undefined, crcAfter: undefined, rows: 0 }
      if (isFrozen) await this.#note(file, none, 'frozen')
    })
  }

  #note(
    { key, crc: crcBefore }: ColdFile,
    after: Pick<ErasedFile, 'keyAfter' | 'crcAfter' | 'rows'>,
    place: ErasedFile['place'] = 'cold',
  ): Promise<void> {
    return noteFile(this.#parts.client, this.#erasure.id, { key, place, crcBefore, ...after })
  }

  async #transact(work: () => Promise<void>): Promise<void> {
    const { client, lease } = this.#parts
    await client.query('BEGIN')
    await checkLease(client, lease)
    await work()
    await client.query('COMMIT')
  }
}

interface RunRow extends SeriesRow {
  tenant: string
  first_row: number
  row_count: number
}
