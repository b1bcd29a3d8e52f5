/** What a data folder takes on the disk, by kind of file. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Bytes of a stopped Weir's folder, but for the log and the megabyte that is kept in reserve. */
export interface FolderBytes {
  readings: number
  rollups: number
  catalogue: number
  state: number
  /** Registry, credentials, locks, and whatever else is there. */
  rest: number
}

export function measureFolder(folder: string): FolderBytes {
  const bytes: FolderBytes = { readings: 0, rollups: 0, catalogue: 0, state: 0, rest: 0 }
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const file = statSync(join(folder, path))
    if (file.isDirectory() || /^log[/\\]/.test(path) || path === 'reserve') continue
    bytes[kindOf(path)] += file.size
  }
  return bytes
}

function kindOf(path: string): keyof FolderBytes {
  if (path.startsWith('catalogue.db')) return 'catalogue'
  if (path === 'state.bin') return 'state'
  if (!path.startsWith('segments')) return 'rest'
  return path.includes('rollup-') ? 'rollups' : 'readings'
}
