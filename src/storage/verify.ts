/** Reads every file of storage, here and in the object store, against its checksum. */
import { crc32 } from 'node:zlib'
import type { Objects } from '../objects/objects.ts'
import type { SegmentChecks } from './segment-checks.ts'
import type { Segment, SegmentSet } from './segment-set.ts'

export interface Verification {
  filesDone: number
  filesTotal: number
  bytesDone: number
  bytesTotal: number
  /** What no answer has, of those that were looked at. */
  damaged: { file: string; problem: string; rows: number }[]
}

/** Calls back behind each file. Errors: OBJECTS_UNAVAILABLE, and what the disk throws. */
export async function verifySegments(
  { segments, checks, objects, pastAge }: VerifyParts & { pastAge: () => readonly Segment[] },
  progress: (verification: Verification) => void,
): Promise<void> {
  const all = [...segments.all()]
  const found: Verification = {
    ...{ filesDone: 0, filesTotal: all.length, bytesDone: 0, damaged: [] },
    bytesTotal: all.reduce((sum, { bytes }) => sum + bytes, 0),
  }
  for (const segment of all) {
    // What was merged away meanwhile is in what it was merged into, which has just been written.
    if (segments.has(segment)) {
      const release = segments.pin([segment])
      const problem = await verifyOne(segment, { segments, checks, objects }).finally(release)
      // What is past its age the bucket may have expired itself.
      const isGone = problem === MISSING && segment.isCold && pastAge().includes(segment)
      if (problem !== undefined && !isGone) {
        found.damaged.push({ file: segment.file, problem, rows: segment.rows })
      }
    }
    found.filesDone++
    found.bytesDone += segment.bytes
    progress({ ...found, damaged: [...found.damaged] })
  }
}

interface VerifyParts {
  segments: SegmentSet
  checks: SegmentChecks
  objects: Objects | undefined
}

const MISSING = 'the file is missing'

async function verifyOne(
  segment: Segment,
  { segments, checks, objects }: VerifyParts,
): Promise<string | undefined> {
  if (segment.isCold) return verifyCold(segment, objects)
  await checks.check(segment)
  return segments.isIntact(segment) ? undefined : checks.problemOf(segment)
}

async function verifyCold(
  { file, bytes, crc }: Segment,
  objects: Objects | undefined,
): Promise<string | undefined> {
  if (objects === undefined) return 'there is no object store'
  try {
    const found = await objects.get(file)
    if (found.length !== bytes) return `it has ${found.length} bytes, not ${bytes}`
    return crc32(found) === crc ? undefined : 'its checksum differs from what was written'
  } catch (error) {
    const { code } = error as { code?: string }
    // In the archive of its bucket, whose checksums are the service's.
    if (code === 'OBJECT_FROZEN') return undefined
    if (code !== 'OBJECT_MISSING') throw error
    return MISSING
  }
}
