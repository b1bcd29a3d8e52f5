/** Reading `state.bin` back: the stream's parts, and storage's own table of latest values. */
import { WeirError } from '../errors/errors.ts'
import type { Checkpoint } from '../stream/stream.ts'
import type { Committer } from './committer.ts'
import { LAST_VALUES_PREFIX, LastValues } from './last-values.ts'
import type { StateFile } from './state-file.ts'

export const isLastValues = (name: string): boolean => name.startsWith(LAST_VALUES_PREFIX)

/** Undefined when a part is damaged. */
export async function loadLastValues(
  committer: Committer,
  file: StateFile,
): Promise<LastValues | undefined> {
  const lastValues = new LastValues()
  try {
    for (const part of committer.stateParts.filter(({ name }) => isLastValues(name))) {
      const { name, bytes } = await file.read(part)
      lastValues.restore(name, bytes)
    }
    return lastValues
  } catch (error) {
    if (error instanceof WeirError && error.code === 'DATA_FILE_DAMAGED') return undefined
    throw error
  }
}

/** Errors: DATA_FILE_DAMAGED. */
export async function loadState(
  committer: Committer,
  file: StateFile,
): Promise<Checkpoint['parts']> {
  const state: Checkpoint['parts'] = []
  for (const part of committer.stateParts.filter(({ name }) => !isLastValues(name))) {
    state.push(await file.read(part))
  }
  return state
}
