/**
 * Opening a log: which files hold entries, which are free, where the log ends.
 *
 * Only the newest segment is read and checked in full, since only it can be torn; of the others
 * one header each is read, for the first offset.
 */
import { dirname, join } from 'node:path'
import { WeirError } from '../errors/errors.ts'
import type { Disk } from '../world/world.ts'
import {
  SEGMENT_SUFFIX,
  SPARE_SUFFIX,
  fileName,
  openSegment,
  sequenceOf,
  type Segment,
} from './segment.ts'
import { findBaseOffset, walkSegment, type Walk } from './segment-walk.ts'

export interface OpenedSegments {
  /** With entries, oldest first; the last one is written on. Empty in a new log. */
  segments: Segment[]
  /** Where the last one is written on. */
  endPosition: number
  /** Higher than any run in the last one. */
  run: number
  spares: string[]
  nextSequence: number
}

export async function openSegments(
  disk: Disk,
  folder: string,
  segmentBytes: number,
): Promise<OpenedSegments> {
  await makeFolderDurable(disk, folder)
  const names = await disk.list(folder)
  const sequencesOf = (suffix: string): number[] =>
    names.map((name) => sequenceOf(name, suffix)).filter((sequence) => sequence !== undefined)
  const sequences = sequencesOf(SEGMENT_SUFFIX).toSorted((one, other) => one - other)
  const spareSequences = sequencesOf(SPARE_SUFFIX)
  const opened: Segment[] = []
  for (const sequence of sequences) opened.push(await openSegment(disk, folder, sequence))
  const { segments, empty } = await sortOut(opened)
  const spares = await collectSpares(
    { disk, folder, segmentBytes },
    { old: spareSequences.map((sequence) => fileName(sequence, SPARE_SUFFIX)), empty },
  )
  const nextSequence = Math.max(0, ...sequences, ...spareSequences) + 1
  const newest = segments.at(-1)
  if (newest === undefined) return { segments, endPosition: 0, run: 1, spares, nextSequence }
  const walk = await walkSegment(newest, { endOffset: undefined, isCheckingPayloads: true })
  newest.index = walk.index
  await settleEnd(newest, walk)
  return { segments, endPosition: walk.endPosition, run: walk.runMax + 1, spares, nextSequence }
}

/**
 * Makes the end of the log as it was just read the durable one. After a crash of the process alone,
 * or a failed flush, the last group may be in the kernel's cache only, even in pages that the
 * kernel takes for clean, so it is written again: to serve it as it is would hand out offsets that
 * a power cut gives to other entries. The sync also settles what lies behind the end, where an
 * older version of a sector could otherwise come back.
 */
async function settleEnd(segment: Segment, walk: Walk): Promise<void> {
  // Of the last group a damaged entry may be the first; it has no place.
  const start = walk.index.positions.slice(walk.provenCount).find((position) => position >= 0)
  if (start !== undefined) {
    const group = new Uint8Array(walk.endPosition - start)
    await segment.file.read(group, start)
    await segment.file.write(group, start)
  }
  await segment.file.sync().catch((cause: unknown) => {
    throw new WeirError('LOG_FLUSH_FAILED', undefined, { cause })
  })
}

/** Parts the files that hold entries from the empty ones. Throws DATA_FILE_DAMAGED. */
async function sortOut(opened: Segment[]): Promise<{ segments: Segment[]; empty: Segment[] }> {
  const segments: Segment[] = []
  const empty: Segment[] = []
  for (const segment of opened.toReversed()) {
    const baseOffset = await findBaseOffset(segment)
    const following = segments[0]
    const isUnreadable = Number.isNaN(segment.salt)
    if (baseOffset === undefined && !isUnreadable && !segment.isCut) {
      empty.push(segment)
    } else if (following === undefined && (isUnreadable || segment.isCut)) {
      // It may hold what was acknowledged last: to go on would use those offsets again.
      throw await newestDamaged(segment)
    } else {
      // An unreadable one counts as empty; its entries are missed at the end of the one before.
      segment.baseOffset = baseOffset ?? following!.baseOffset
      segments.unshift(segment)
    }
  }
  return { segments, empty }
}

async function newestDamaged({ name, file, isCut }: Segment): Promise<WeirError> {
  const position = isCut ? await file.size() : 0
  const problem = isCut
    ? `The newest log segment ${name} ends at byte ${position}, before its full size: entries that were acknowledged may be gone`
    : `The header of the newest log segment ${name} is damaged`
  return new WeirError('DATA_FILE_DAMAGED', problem, { details: { segment: name, position } })
}

/** Makes spares of empty segments; removes what has another size or was not made to the end. */
async function collectSpares(
  place: { disk: Disk; folder: string; segmentBytes: number },
  candidates: { old: string[]; empty: Segment[] },
): Promise<string[]> {
  const { disk, folder, segmentBytes } = place
  for (const segment of candidates.empty) {
    await segment.file.close()
    const spare = fileName(segment.sequence, SPARE_SUFFIX)
    await disk.rename(join(folder, segment.name), join(folder, spare))
    candidates.old.push(spare)
  }
  const spares: string[] = []
  for (const name of candidates.old) {
    const file = await disk.open(join(folder, name), 'read')
    const bytes = await file.size()
    await file.close()
    if (bytes === segmentBytes) spares.push(name)
    else await disk.remove(join(folder, name))
  }
  if (candidates.old.length > 0) await disk.syncFolder(folder)
  return spares
}

/** Creates the folder and syncs the parents of all folders that this made. */
async function makeFolderDurable(disk: Disk, folder: string): Promise<void> {
  const parents: string[] = []
  for (let made = folder; !(await disk.exists(made)); made = dirname(made))
    parents.push(dirname(made))
  await disk.makeFolder(folder)
  for (const parent of parents) await disk.syncFolder(parent)
}
