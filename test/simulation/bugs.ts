/**
 * Planted bugs: each breaks one promise in the place where a careless change would. The simulation
 * must find every one of them, else it proves nothing about the code without them.
 */
import type { LoopMessage, StreamControl } from '../../src/embedded/threads.ts'
import type { Log } from '../../src/log/log.ts'
import type { Catalogue } from '../../src/storage/catalogue.ts'
import type { Disk } from '../../src/world/world.ts'
import { SlowDisk } from './slow-disk.ts'
import { withAppend } from './wrapped-log.ts'

/** What a bug may change on the way. */
export interface Bug {
  log(log: Log): Log
  disk(disk: Disk): Disk
  catalogue(catalogue: Catalogue): Catalogue
  toStream(message: StreamControl): StreamControl
  toGateway(message: LoopMessage): LoopMessage
  /** The stream hears that the alerts have rule events before they have them. */
  areAlertsTakenEarly: boolean
}

export const NO_BUG: Bug = {
  log: (log) => log,
  disk: (disk) => disk,
  catalogue: (catalogue) => catalogue,
  toStream: (message) => message,
  toGateway: (message) => message,
  areAlertsTakenEarly: false,
}

/** Appends resolve when they are called; the flush comes when it comes. */
function unflushedLog(log: Log): Log {
  let next = log.nextOffset
  return withAppend(log, (bytes) => {
    log.append(bytes).catch(() => undefined)
    return Promise.resolve(next++)
  })
}

/** The offset and the state are committed at once, the outputs only with the next commit. */
function lateOutputs(catalogue: Catalogue): Catalogue {
  const commit = catalogue.commit.bind(catalogue)
  let before: Parameters<Catalogue['commit']>[0] | undefined
  catalogue.commit = (record) => {
    commit({
      ...record,
      segments: before?.segments ?? [],
      events: before?.events ?? [],
      definitions: before?.definitions ?? [],
    })
    before = record
  }
  return catalogue
}

export const BUGS = {
  'acknowledged before the flush': { ...NO_BUG, log: unflushedLog },
  'a checkpoint that commits before its outputs': { ...NO_BUG, catalogue: lateOutputs },
  'the log trimmed one entry too far': {
    ...NO_BUG,
    toGateway: (message: LoopMessage) =>
      'trimBefore' in message ? { trimBefore: message.trimBefore + 1 } : message,
  },
  'a segment that counts before it is flushed': {
    ...NO_BUG,
    disk(disk: Disk) {
      if (disk instanceof SlowDisk) disk.unflushed = (path) => path.includes('/segments/')
      return disk
    },
  },
  'a cold file that counts before it is flushed': {
    ...NO_BUG,
    disk(disk: Disk) {
      if (disk instanceof SlowDisk) disk.unflushed = (path) => path.includes('/cold/')
      return disk
    },
  },
  'a checkpoint before its alerts': { ...NO_BUG, areAlertsTakenEarly: true },
  'the memory of repeats forgotten at a restart': {
    ...NO_BUG,
    toStream(message: StreamControl) {
      if (!('recovered' in message)) return message
      const { recovered } = message
      const state = recovered.state.filter(({ name }) => !name.startsWith('identities-'))
      return { recovered: { ...recovered, state } }
    },
  },
} satisfies Record<string, Bug>

export type BugName = keyof typeof BUGS
