/**
 * Erases devices' readings from the files of commits. Each file that holds some is written anew
 * under its own key, which manifests go on to name, or deleted when nothing is left.
 *
 *   take all sets ─▶ look at the tenant's files of before ─▶ write those anew that hold some
 *
 * Taking a set ends its writer (L2), whatever it had collected or was about to put. The next one
 * begins where the last commit ended, asks what was erased (`LakeAccess.erased`), and so puts
 * nothing of it: its files have higher versions than what is looked at here.
 *
 * What the manifest of a set does not count is deleted: nobody commits it any more.
 */
import { crc32 } from 'node:zlib'
import type { WeirError } from '../errors/errors.ts'
import { eachObject, type ListedObject, type Objects } from '../objects/objects.ts'
import { ENDING_BYTES, footerBytesOf, groupBounds } from '../parquet/parquet.ts'
import type { Clock, Random } from '../world/world.ts'
import { DEVICE_ID, folderOf, READINGS_FOLDER } from './lake-columns.ts'
import { encodeLakeFile } from './lake-file.ts'
import { guarded } from './lake-reader.ts'
import { claimSet, commitOf, counts, listSets, type Manifest } from './manifest.ts'
import { monthOf, type Run, type SortedReadings } from './sorted-readings.ts'
import { readWholeFile } from './whole-file.ts'

/** Of a file's end: mostly its whole footer, and of small files all. */
const END_BYTES = 1 << 16

/** Event times in µs, the end excluded. */
export interface CommitErasure {
  tenant: string
  deviceIds: readonly string[]
  fromUs: number
  toUs: number
}

export interface ErasedCommit {
  key: string
  /** It is in the bucket's archive and stays as it is: whether it holds some nobody knows. */
  isFrozen: boolean
  crcBefore: number | undefined
  /** Undefined: nothing was left, and it was deleted. */
  crcAfter: number | undefined
  /** Rows that went. */
  rows: number
}

export interface CommitEraserParts {
  objects: Objects
  clock: Clock
  random: Random
  /** Resolves once it is durable that the file is to be written so; it may be told again. */
  note: (file: ErasedCommit) => Promise<void>
  isOver: () => boolean
}

/**
 * May be done again. Nobody else deletes files of commits meanwhile. Errors: OBJECTS_UNAVAILABLE,
 * OBJECTS_REFUSED, DATA_FILE_DAMAGED; done is what was done.
 */
export async function eraseFromCommits(
  parts: CommitEraserParts,
  erasure: CommitErasure,
): Promise<void> {
  const { objects, random, isOver } = parts
  // Asked for from a time that is still to come.
  if (erasure.fromUs >= erasure.toUs) return
  const mark = Buffer.from(random.bytes(12)).toString('base64url')
  const sets = new Map<string, Manifest>()
  for (const set of await listSets(objects)) sets.set(set, await claimSet(objects, set, { mark }))
  const folder = `${READINGS_FOLDER}/${folderOf('tenant', erasure.tenant)}/`
  for await (const object of eachObject(objects, folder)) {
    if (isOver()) return
    const commit = commitOf(object.key)
    const manifest = sets.get(commit?.set ?? '')
    // Without a manifest it is nobody's, and a higher version is from behind the taking.
    if (manifest === undefined || commit!.version > manifest.version) continue
    if (!mayHoldTimes(object.key, erasure)) continue
    if (counts(manifest, object.key)) await eraseFrom(parts, erasure, object)
    else await objects.delete(object.key)
  }
}

/** By the month in its path. */
function mayHoldTimes(key: string, { fromUs, toUs }: CommitErasure): boolean {
  const { year, month } = /\/year=(?<year>-?\d+)\/month=(?<month>\d+)\//.exec(key)?.groups ?? {}
  if (year === undefined) return true
  const [first, last] = [monthOf(fromUs), monthOf(toUs)]
  const at = Number(year) * 12 + Number(month)
  return first.year * 12 + first.month <= at && at <= last.year * 12 + last.month
}

async function eraseFrom(
  { objects, clock, note }: CommitEraserParts,
  erasure: CommitErasure,
  object: ListedObject,
): Promise<void> {
  const { key } = object
  const none = { key, isFrozen: false, crcBefore: undefined, crcAfter: undefined, rows: 0 }
  try {
    const bytes = await bytesIfHolding(objects, erasure, object)
    if (bytes === undefined) return
    const readings = await readWholeFile(key, bytes)
    const { runs, rows } = withoutErased(readings, erasure)
    if (rows === 0) return
    const crcBefore = crc32(bytes)
    if (runs.length === 0) {
      await note({ ...none, crcBefore, rows })
      return await objects.delete(key)
    }
    const pause = (): Promise<void> => new Promise((resolve) => clock.soon(resolve))
    const after = await encodeLakeFile(readings, runs, pause)
    await note({ ...none, crcBefore, crcAfter: crc32(after.bytes), rows })
    await objects.put(key, after.bytes)
  } catch (error) {
    const { code } = error as WeirError
    if (code === 'OBJECT_FROZEN') return note({ ...none, isFrozen: true })
    // The bucket's rule deletes what is old.
    if (code !== 'OBJECT_MISSING') throw error
  }
}

/** The whole file, unless its footer says that no device is in it. */
async function bytesIfHolding(
  objects: Objects,
  { deviceIds }: CommitErasure,
  { key, bytes }: ListedObject,
): Promise<Uint8Array | undefined> {
  const from = Math.max(0, bytes - END_BYTES)
  let end = await objects.get(key, { from, to: bytes })
  const footerBytes = guarded(key, () => footerBytesOf(end.subarray(-ENDING_BYTES)))
  const isWhole = footerBytes + ENDING_BYTES <= end.length || end.length === bytes
  if (!isWhole) end = await objects.get(key)
  const footer = end.subarray(-ENDING_BYTES - footerBytes, -ENDING_BYTES)
  const bounds = guarded(key, () => groupBounds(footer, DEVICE_ID))
  const mayHold = deviceIds.some((id) => {
    const name = Buffer.from(id)
    return bounds.some(
      ({ least, most }) => Buffer.compare(least, name) <= 0 && Buffer.compare(name, most) <= 0,
    )
  })
  if (!mayHold) return undefined
  return end.length === bytes ? end : objects.get(key)
}

/** The rows that stay, and how many go. */
function withoutErased(
  { runs, timeUs }: SortedReadings,
  { tenant, deviceIds, fromUs, toUs }: CommitErasure,
): { runs: Run[]; rows: number } {
  const erased = new Set(deviceIds)
  const left: Run[] = []
  let rows = 0
  for (const { series, from, to } of runs) {
    const isErased = series.tenant === tenant && erased.has(series.deviceId)
    const start = isErased ? firstAt(timeUs, { from, to }, fromUs) : to
    const end = isErased ? firstAt(timeUs, { from, to }, toUs) : to
    rows += end - start
    if (start > from) left.push({ series, from, to: start })
    if (to > end) left.push({ series, from: end, to })
  }
  return { runs: left, rows }
}

/** The first row at or behind the time. */
function firstAt(
  timeUs: Float64Array,
  { from, to }: { from: number; to: number },
  wantedUs: number,
): number {
  let row = from
  while (row < to && timeUs[row]! < wantedUs) row++
  return row
}
