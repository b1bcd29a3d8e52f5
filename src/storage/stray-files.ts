/**
 * Files that the catalogue does not name: of a commit or merge that a crash cut off, or merged
 * away. They go only behind the first commit. Before it nobody knows whether the catalogue is the
 * right one: log and storage have not been compared, and an older catalogue, put back from a
 * backup, would have everything younger removed.
 */
import type { Disk } from '../world/world.ts'
import type { SegmentSet } from './segment-set.ts'

/** The returned function removes them; from the second call on it does nothing. */
export function strayFiles(parts: {
  disk: Disk
  folder: string
  files: readonly string[]
  segments: SegmentSet
}): () => Promise<void> {
  const { disk, folder, segments } = parts
  const isKnown = (file: string): boolean => segments.all().some((segment) => segment.file === file)
  let strays = parts.files.filter((file) => file.endsWith('.parquet') && !isKnown(file))
  return async () => {
    const going = strays
    strays = []
    // A commit may have written one of these names anew.
    for (const file of going) if (!isKnown(file)) await disk.remove(`${folder}/${file}`)
  }
}
