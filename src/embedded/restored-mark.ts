/**
 * What a restored folder says at its first start: it has no log, and that is no loss.
 */
import { readFileSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

interface RestoredMark {
  backup: string
  /** The first offset that the folder's readings do not have. */
  nextOffset: number
}

const FILE = 'restored.json'

export async function writeRestoredMark(folder: string, mark: RestoredMark): Promise<void> {
  await writeFile(join(folder, FILE), `${JSON.stringify(mark)}\n`)
}

/** Undefined in a folder that was not just restored, or when the file cannot be read. */
export function readRestoredMark(folder: string): RestoredMark | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, FILE), 'utf8')) as RestoredMark
  } catch {
    return undefined
  }
}

export function removeRestoredMark(folder: string): void {
  rmSync(join(folder, FILE), { force: true })
}
