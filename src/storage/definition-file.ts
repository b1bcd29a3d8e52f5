/**
 * `segments/definitions.lines`: what segments alone do not say, so that a lost catalogue can be
 * made again: the names behind the numbers of series and texts, and what was erased. Lines are
 * added before the transaction that needs them, and are never changed; of one key the last counts.
 *
 *   {"format":1}
 *   <CRC32 of the rest, 8 hex digits> {"series":{…}} | {"text":[7,"on"]} | {"erasure":{…}}
 *
 * A line that fails its checksum is stepped over. What the catalogue has and no line says, as in a
 * folder of an earlier version, is added by the next commit.
 */
import { crc32 } from 'node:zlib'
import type { Definitions, SeriesDefinition } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import type { Disk, DiskFile } from '../world/world.ts'
import type { Erasure } from './erasure-tables.ts'

export const DEFINITION_FILE = 'definitions.lines'
const FORMAT = 1
const CRC_DIGITS = 8
const WRITE_BYTES = 4 << 20

type Line = { series: SeriesDefinition } | { text: [number, string] } | { erasure: Erasure }

/** All that a file says. */
export interface KeptDefinitions {
  series: Map<number, SeriesDefinition>
  texts: Map<number, string>
  erasures: Map<string, Erasure>
  /** Lines that were stepped over. */
  damaged: number
  /** Behind the last whole line, bytes. */
  end: number
}

export class DefinitionFile {
  readonly #file: DiskFile
  readonly #syncFolder: () => Promise<void>
  #end: number
  /** What the catalogue has and no line says: written with what comes next, when there is room. */
  #owed: readonly Line[]
  /** Something may lie behind the end, of an attempt that failed or a crash. */
  #isTorn = true
  #writing: Promise<void> = Promise.resolve()

  private constructor(parts: {
    file: DiskFile
    syncFolder: () => Promise<void>
    end: number
    owed: readonly Line[]
  }) {
    this.#file = parts.file
    this.#syncFolder = parts.syncFolder
    this.#end = parts.end
    this.#owed = parts.owed
  }

  /** `known` is what the catalogue has. Errors: DATA_FORMAT_NEWER, and what the disk throws. */
  static async open(
    disk: Disk,
    folder: string,
    known: Definitions & { erasures: readonly Erasure[] },
  ): Promise<DefinitionFile> {
    const path = `${folder}/${DEFINITION_FILE}`
    const kept = await readDefinitions(disk, path)
    const owed = [
      ...known.series.filter((one) => !kept.series.has(one.series)).map((series) => ({ series })),
      ...known.texts.filter(([id]) => !kept.texts.has(id)).map((text) => ({ text })),
      ...known.erasures.filter((one) => !isKept(kept, one)).map((erasure) => ({ erasure })),
    ]
    const file = await disk.open(path, 'create')
    const syncFolder = (): Promise<void> => disk.syncFolder(folder)
    return new DefinitionFile({ file, syncFolder, end: kept.end, owed })
  }

  /** Durable once it resolves. Errors: what the disk throws; then it can be called again. */
  add(definitions: readonly Definitions[]): Promise<void> {
    return this.#append(
      definitions.flatMap(({ series, texts }) => [
        ...series.map((one) => ({ series: one })),
        ...texts.map((text) => ({ text })),
      ]),
    )
  }

  /** As add(). */
  addErasure(erasure: Erasure): Promise<void> {
    return this.#append([{ erasure }])
  }

  #append(lines: readonly Line[]): Promise<void> {
    const written = this.#writing.then(async () => {
      const all = [...this.#owed, ...lines]
      if (all.length > 0) await this.#write(all)
      this.#owed = []
    })
    this.#writing = written.catch(() => undefined)
    return written
  }

  async #write(lines: readonly Line[]): Promise<void> {
    const isNew = this.#end === 0
    const head = isNew ? `${JSON.stringify({ format: FORMAT })}\n` : ''
    const bytes = Buffer.concat([Buffer.from(head), encode(lines)])
    if (this.#isTorn) await this.#file.truncate(this.#end)
    this.#isTorn = true
    for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
      await this.#file.write(bytes.subarray(at, at + WRITE_BYTES), this.#end + at)
    }
    await this.#file.sync()
    if (isNew) await this.#syncFolder()
    this.#end += bytes.length
    this.#isTorn = false
  }

  async close(): Promise<void> {
    await this.#writing
    await this.#file.close()
  }
}

const isKept = ({ erasures }: KeptDefinitions, { id, receipt }: Erasure): boolean =>
  erasures.has(id) && erasures.get(id)!.receipt === receipt

function encode(lines: readonly Line[]): Uint8Array {
  const texts = lines.map((line) => {
    const text = JSON.stringify(line)
    return `${crc32(text).toString(16).padStart(CRC_DIGITS, '0')} ${text}\n`
  })
  return Buffer.from(texts.join(''))
}

/** Of a file that is not there: nothing. Errors: DATA_FORMAT_NEWER, and what the disk throws. */
export async function readDefinitions(disk: Disk, path: string): Promise<KeptDefinitions> {
  const kept: KeptDefinitions = {
    ...{ series: new Map(), texts: new Map(), erasures: new Map() },
    ...{ damaged: 0, end: 0 },
  }
  if (!(await disk.exists(path))) return kept
  const bytes = Buffer.from(await readWhole(disk, path))
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(0x0a, at)
    // Torn: whoever wrote it was not done.
    if (end === -1) break
    const line = bytes.toString('utf8', at, end)
    if (at === 0) checkFormat(path, line)
    else if (!take(kept, line)) kept.damaged++
    at = end + 1
    kept.end = at
  }
  return kept
}

function checkFormat(path: string, line: string): void {
  const format = Number(/^\{"format":(\d+)\}$/.exec(line)?.[1] ?? FORMAT)
  if (format <= FORMAT) return
  const detail = `${path} has format ${format}; this version knows up to ${FORMAT}`
  throw new WeirError('DATA_FORMAT_NEWER', detail)
}

/** False when it is not what was written. */
function take(kept: KeptDefinitions, line: string): boolean {
  const text = line.slice(CRC_DIGITS + 1)
  if (crc32(text) !== Number.parseInt(line.slice(0, CRC_DIGITS), 16)) return false
  const found = JSON.parse(text) as Line
  if ('series' in found) kept.series.set(found.series.series, found.series)
  else if ('text' in found) kept.texts.set(...found.text)
  else kept.erasures.set(found.erasure.id, found.erasure)
  return true
}

async function readWhole(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, 'read')
  try {
    const bytes = new Uint8Array(await file.size())
    const count = await file.read(bytes, 0)
    return bytes.subarray(0, count)
  } finally {
    await file.close()
  }
}
