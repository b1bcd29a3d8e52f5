/**
 * Events: one function per thing that happens, which counts it and writes its line, so that metric
 * and log cannot disagree. ERROR: data was lost or someone must act. WARN: unexpected, recovered.
 * INFO: an action finished. Nothing is written per reading, and no event writes more than
 * LINES_PER_WINDOW lines a window: a storm is counted in full and its next line says how many it
 * held back. Secrets never come here: fields are ids, codes, counts and durations.
 */
import type { Clock } from '../world/world.ts'
import type { Registry } from './registry.ts'

export type EventLevel = 'info' | 'warn' | 'error'
type Fields = Record<string, string | number | boolean | undefined>

/** How many lines one event may write in a window; enough for a start, too few to fill a disk. */
const LINES_PER_WINDOW = 10
const WINDOW_MS = 60_000

const LEVELS: readonly EventLevel[] = ['info', 'warn', 'error']

export interface EventsOptions {
  clock: Clock
  registry: Registry
  /** Gets one line with its line break: standard error, or a test's array. */
  write: (line: string) => void
  format: 'human' | 'json'
  /** The lowest level that is written; everything is counted. */
  level?: EventLevel
}

export type Events = ReturnType<typeof createEvents>

/** An event as plain data, on its way from another thread. */
export type EventCall = {
  [Name in keyof Events]: { name: Name; fields: Parameters<Events[Name]>[0] }
}[keyof Events]

export function tellEvent(events: Events, { name, fields }: EventCall): void {
  const tell = events[name] as (fields: EventCall['fields']) => void
  tell(fields)
}

export function createEvents(options: EventsOptions) {
  const emit = createEmitter(options)
  return {
    serverReady: (fields: { http: number; mqtt?: number | undefined; startMs: number }) =>
      emit('info', 'server_ready', 'Ready', fields),
    serverStopped: (fields: { drainMs: number }) =>
      emit('info', 'server_stopped', 'Stopped', fields),
    stopIncomplete: (fields: { open: string }) =>
      emit('warn', 'stop_incomplete', 'Something was left open; the process ends', fields),
    recoveryFinished: (fields: { fromOffset: number; entries: number; durationMs: number }) =>
      emit('info', 'recovery_finished', 'Replayed the log', fields),
    threadFailed: (fields: { thread: string; problem: string }) =>
      emit('error', 'thread_failed', 'A thread failed', fields),
    logWriteRefused: (fields: { code: string; detail: string }) =>
      emit('error', 'log_write_refused', 'The log refuses writes', fields),
    logWriteRecovered: (fields: { outageMs: number }) =>
      emit('info', 'log_write_recovered', 'The log accepts writes again', fields),
    logDamageFound: (fields: { segment: string; fromOffset: number; toOffset: number }) =>
      emit('error', 'log_damage_found', 'Acknowledged log entries are damaged and lost', fields),
    backupRestored: (fields: { backup: string; goesOnAt: number }) =>
      emit('info', 'backup_restored', 'Goes on where a backup ends', fields),
    logEndLost: (fields: { endsAt: number; goesOnAt: number }) =>
      emit('error', 'log_end_lost', 'The log ends before what is stored', fields),
    segmentDamaged: (fields: { file: string; problem: string; readings: number }) =>
      emit('error', 'segment_damaged', 'A stored segment is damaged and set aside', fields),
    stateLost: (fields: { problem: string }) =>
      emit('error', 'state_lost', 'The stream’s state is damaged: rules start anew', fields),
    registryDamaged: (fields: { problem: string }) =>
      emit('error', 'registry_damaged', 'A record of the registry is damaged and refused', fields),
    eventDamaged: (fields: { problem: string }) =>
      emit('error', 'event_damaged', 'A stored event is damaged and left out of answers', fields),
    commitFailed: (fields: { offset: number; problem: string }) =>
      emit('error', 'commit_failed', 'A checkpoint could not be committed; trying again', fields),
    commitRecovered: (fields: { offset: number; outageMs: number }) =>
      emit('info', 'commit_recovered', 'Checkpoints are committed again', fields),
    mergeFailed: (fields: { problem: string }) =>
      emit('warn', 'merge_failed', 'Segments could not be merged; trying again', fields),
    erasureDone: (fields: { id: string; files: number }) =>
      emit('info', 'erasure_done', 'Erased data, and signed a receipt', fields),
    erasureFailed: (fields: { id: string; problem: string }) =>
      emit('error', 'erasure_failed', 'Data could not be erased yet; trying again', fields),
    aged: (fields: { moved: number; deleted: number; from: string; to: string }) =>
      emit(
        'info',
        'readings_aged',
        'Readings went to the object store, or away, for their age',
        fields,
      ),
    agingFailed: (fields: { problem: string }) =>
      emit(
        'warn',
        'aging_failed',
        'What is due for its age could not be moved or deleted; trying again',
        fields,
      ),
    ...ofCluster(emit),
    deviceCreated: (fields: { deviceId: string; type: string }) =>
      emit('info', 'device_created', 'Registered a device', fields),
    signInRefused: (fields: { reason: string }) =>
      emit('warn', 'sign_in_refused', 'Refused a sign-in code', fields),
    requestFailed: (fields: { route: string; problem: string }) =>
      emit('error', 'request_failed', 'A request failed by our fault', fields),
    liveClientClosed: (fields: { bufferedBytes: number }) =>
      emit('warn', 'live_client_closed', 'Closed a live stream that read too slowly', fields),
  }
}

/** What processes of a cluster tell beside. */
const ofCluster = (emit: Emit) => ({
  entryMalformed: (fields: { topic: string; offset: number; code: string; detail: string }) =>
    emit('warn', 'entry_malformed', 'Skipped a Kafka entry that cannot be read', fields),
  entriesLost: (fields: {
    topic: string
    partition: number
    fromOffset: number
    toOffset: number
  }) => emit('error', 'entries_lost', 'Kafka forgot entries before they were stored', fields),
  storeOpened: (fields: { tables: 'months' | 'hypertables'; store?: string }) =>
    emit('info', 'store_opened', 'Hot storage is open', fields),
  partitionHot: (fields: { partition: number; messages: number; share: number }) =>
    emit('warn', 'partition_hot', 'One partition takes far more than its share', fields),
  lakeCommitFailed: (fields: { problem: string }) =>
    emit('warn', 'lake_commit_failed', 'The lake could not be written; trying again', fields),
  lakeCommitRecovered: (fields: { outageMs: number }) =>
    emit('info', 'lake_commit_recovered', 'The lake is written again', fields),
  lakeFull: (fields: { readings: number }) =>
    emit('warn', 'lake_full', 'What may wait for the lake waits; Kafka keeps the rest', fields),
  lakeRepeatsPossible: (fields: { topic: string; partition: number; entries: number }) =>
    emit('warn', 'lake_repeats_possible', 'Some entries may be in the lake twice', fields),
  engineFailed: (fields: { kind: string; code: string; problem: string }) =>
    emit('warn', 'engine_failed', 'The engine over the lake failed; answered without it', fields),
  sinkRefused: (fields: { readings: number; reason: string; line: string }) =>
    emit('warn', 'sink_refused', 'The sink’s database does not take some readings', fields),
  lakeTaken: (fields: { problem: string }) =>
    emit('warn', 'lake_taken', 'Another took the set of the lake; its writer begins again', fields),
  roleFailed: (fields: { role: string; problem: string }) =>
    emit('error', 'role_failed', 'A role failed; it begins again', fields),
  flinkJobStarted: (fields: { job: string; from: string }) =>
    emit('info', 'flink_job_started', 'Flink runs the stream stage', fields),
  flinkJobDiffers: (fields: { job: string; differences: string }) =>
    emit('warn', 'flink_job_differs', 'Flink runs another pipeline; see weir flink', fields),
  flinkJobEnded: (fields: { name: string }) =>
    emit('warn', 'flink_job_ended', 'Somebody ended the job; weir flink submit goes on', fields),
})

type Emit = (level: EventLevel, name: string, message: string, fields: Fields) => void

function createEmitter({ clock, registry, write, format, level = 'info' }: EventsOptions): Emit {
  const windows = new Map<string, { sinceMs: number; lines: number; heldBack: number }>()
  const render = format === 'json' ? renderJson : renderHuman
  const isWritten = (candidate: EventLevel): boolean =>
    LEVELS.indexOf(candidate) >= LEVELS.indexOf(level)

  return (eventLevel, name, message, fields) => {
    registry.counter('weir_events_total', 'Events by name.', { event: name }).add()
    if (!isWritten(eventLevel)) return
    const nowMs = clock.monotonicMs()
    let window = windows.get(name)
    const heldBack = window?.heldBack ?? 0
    if (window === undefined || nowMs - window.sinceMs >= WINDOW_MS) {
      windows.set(name, (window = { sinceMs: nowMs, lines: 0, heldBack }))
    }
    if (window.lines >= LINES_PER_WINDOW) {
      window.heldBack++
      return
    }
    window.lines++
    window.heldBack = 0
    const all = heldBack === 0 ? fields : { ...fields, held_back: heldBack }
    write(render({ timeUs: clock.nowUs(), level: eventLevel, name, message, fields: all }))
  }
}

interface Line {
  timeUs: number
  level: EventLevel
  name: string
  message: string
  fields: Fields
}

const isoTime = (timeUs: number): string => new Date(timeUs / 1000).toISOString()

const renderJson = ({ timeUs, level, name, message, fields }: Line): string =>
  `${toJson({ time: isoTime(timeUs), level, event: name, message, ...fields })}\n`

function renderHuman({ timeUs, level, message, fields }: Line): string {
  const details = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${renderField(value)}`)
  return `${[isoTime(timeUs), level.toUpperCase().padEnd(5), message, ...details].join(' ')}\n`
}

/** Quoted unless plain: a device id or a message must not be able to forge a line. */
function renderField(value: Fields[string]): string {
  const text = String(value)
  return /^[\w.:-]+$/.test(text) ? text : toJson(text)
}

/**
 * What JSON leaves as it is and a terminal does not: DEL and C1 controls (one of them begins an
 * escape sequence), marks that turn the direction of writing, separators of lines.
 */
const TERMINAL_CONTROLS = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

const toJson = (value: unknown): string =>
  JSON.stringify(value).replace(
    TERMINAL_CONTROLS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
