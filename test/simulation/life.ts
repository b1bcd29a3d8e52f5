/**
 * One life of the process: the stages that the embedded engine runs in threads, the same code,
 * joined by channels instead of message ports.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { LocalDeviceReader } from '../../src/control/sqlite-control.ts'
import { GatewayLoop } from '../../src/embedded/gateway-loop.ts'
import { transferOf } from '../../src/embedded/rpc.ts'
import { RuleEventQueue } from '../../src/embedded/rule-event-queue.ts'
import { StorageLoop } from '../../src/embedded/storage-loop.ts'
import { StreamLoop } from '../../src/embedded/stream-loop.ts'
import type {
  FrameMessage,
  LogMessage,
  LoopMessage,
  RuleEventsMessage,
  StreamControl,
  StreamMessage,
} from '../../src/embedded/threads.ts'
import { Gateway, type GatewayOptions } from '../../src/gateway/gateway-stage.ts'
import { entryBytesMax, openFileLog } from '../../src/log/file-log.ts'
import type { Log } from '../../src/log/log.ts'
import type { Plan } from '../../src/pipeline/pipeline.ts'
import type { Query } from '../../src/query/query.ts'
import { openFolderObjects } from '../../src/objects/folder-objects.ts'
import { Catalogue } from '../../src/storage/catalogue.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { createPlainFiles } from '../../src/storage/plain-files.ts'
import { NOBODY } from '../../src/storage/storage-options.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { DEFAULT_STREAM_LIMITS } from '../../src/stream/limits.ts'
import { METRIC_ON, METRICS } from '../../src/stream/script.ts'
import type { RuleEvent } from '../../src/stream/stream.ts'
import type { Clock, Disk, Network, Random } from '../../src/world/world.ts'
import type { Bug } from './bugs.ts'
import { Channel } from './channel.ts'
import { withAppend } from './wrapped-log.ts'

const FOLDER = '/data'
const COLD_FOLDER = '/data/cold'
/** So small that a checkpoint, a merge or a trim is always under way. */
const SEGMENT_BYTES = 12 << 10
const ENTRY_BYTES_MAX = entryBytesMax(SEGMENT_BYTES)
const STREAM = { checkpointReadings: 120, checkpointIntervalUs: 2e6 }
/** Days that are over go to the object store after an hour, but for one metric, which stays. */
const AGING = {
  agesOf: ({ metric }: { metric: string }) => ({
    hotUs: 3_600e6,
    warmUs: metric === METRICS[METRIC_ON].name ? Infinity : 3_600e6,
    coldUs: Infinity,
  }),
  isExportedFirst: false,
  intervalMs: 1000,
}
const STORAGE = { segmentRows: 3000, mergeFanIn: 3 }
const MEMORY_READINGS_MAX = 3000
/** How long the alerts take to make events durable. */
const ALERT_MS_MAX = 300

const GATEWAY: Omit<GatewayOptions, 'plan'> = {
  limits: {
    seriesMax: 1000,
    seriesPerDeviceMax: 100,
    textsMax: 100,
    metricsPerMessageMax: 50,
    textBytesMax: 64,
    batchReadingsMax: 100,
    frameBytesMax: ENTRY_BYTES_MAX,
    lagBytesMax: 64 << 10,
    deadLettersPerDeviceMax: 1_000_000,
  },
  mqtt: {
    packetBytesMax: 4096,
    connectPacketBytesMax: 512,
    connectTimeoutMs: 5000,
    heldMsMax: 5000,
    receiveMaximum: 100,
    keepAliveMaxSeconds: 60,
    connectionsMax: 100,
    connectRateMax: 1000,
    idleMsMax: 60_000,
    connectionsPerDeviceMax: 3,
  },
  deviceTags: ['device_id'],
  tenant: 'default',
}

export interface LifeParts {
  clock: Clock
  random: Random
  disk: Disk
  network: Network
  control: LocalDeviceReader
  catalogue: DatabaseSync
  plan: Plan
  bug: Bug
  /** The log of this life, opened, before anything is replayed from it. */
  opened: (log: Log) => Promise<void>
  /** So many readings went to the object store. */
  aged: (moved: number) => void
  /** Something was found damaged, and is named. */
  damaged: (what: string) => void
  /** The process ends by itself. */
  failed: (error: Error) => void
  /** Rule events are durable with the alerts. */
  alerted: (events: readonly RuleEvent[]) => void
  /** An entry became durable. */
  appended: (offset: number, bytes: Uint8Array) => void
}

/** What the stages hold now, for the checks of growth. */
export interface Held {
  lagBytes: number
  queued: number
  readingsInMemory: number
  logEntries: number
  mergeDebt: number
}

export class Life {
  readonly gateway: Gateway
  readonly log: Log
  readonly storage: Storage & Query
  readonly #parts: LifeParts
  readonly #stream: StreamLoop
  readonly #storageLoop: StorageLoop
  readonly #channels: readonly { readonly length: number }[]
  commitFailures = 0
  isReplaying = true

  private constructor(parts: LifeParts, opened: { log: Log; storage: Storage & Query }) {
    this.#parts = parts
    const { clock, random, plan, bug } = parts
    const toStream = new Channel<FrameMessage>(clock, random)
    const toStorage = new Channel<StreamMessage>(clock, random)
    const toStreamBack = new Channel<StreamControl>(clock, random)
    const toGateway = new Channel<LoopMessage>(clock, random)
    const fromGateway = new Channel<LogMessage>(clock, random)
    const toAlerts = new Channel<RuleEventsMessage>(clock, random)
    const fromAlerts = new Channel<number>(clock, random)
    this.#channels = [toStream, toStorage, toStreamBack, toGateway, fromGateway, toAlerts]
    this.log = opened.log
    this.storage = opened.storage
    this.gateway = new Gateway(
      {
        world: parts,
        log: bug.log(opened.log),
        reader: parts.control,
        forward: (offset, frame, isReplayed) =>
          toStream.send({ offset, frame, isReplayed }, transferOf(frame) as ArrayBuffer[]),
        register: undefined,
      },
      { ...GATEWAY, plan },
    )
    const gatewayLoop = new GatewayLoop(this.gateway, {
      log: opened.log,
      numbers: parts.control,
      logEnds: (logEnds) => fromGateway.send({ logEnds }),
      restarted: () => parts.damaged('the log lost its end'),
      lost: ({ fromOffset }) => parts.damaged(`the log lost entry ${fromOffset}`),
    })
    this.#stream = new StreamLoop({
      plan,
      limits: { ...DEFAULT_STREAM_LIMITS, ...STREAM, seriesMax: 4096, deviceMax: 4096 },
      alert(message) {
        toAlerts.send(message)
        if (bug.areAlertsTakenEarly) fromAlerts.send(message.offset)
      },
      send: (message, transfer) => toStorage.send(message, transfer),
      watch: { define: () => {}, tap: () => {} },
    })
    this.#storageLoop = new StorageLoop({
      storage: opened.storage,
      clock,
      memoryReadingsMax: MEMORY_READINGS_MAX,
      toStream: (message) => toStreamBack.send(bug.toStream(message)),
      toGateway: (message, transfer) => toGateway.send(bug.toGateway(message), transfer),
      commitFailed: () => this.commitFailures++,
      commitRecovered: () => {},
    })
    toStream.receive = (message) => this.#stream.frame(message)
    toStorage.receive = (message) => this.#storageLoop.take(message)
    toStreamBack.receive = (message) => this.#stream.control(message)
    toGateway.receive = (message) => gatewayLoop.take(message)
    const alerts = new RuleEventQueue({
      clock,
      async take(events) {
        await new Promise<void>((resolve) => clock.after(random.unit() * ALERT_MS_MAX, resolve))
        parts.alerted(events)
      },
      taken: (offset) => fromAlerts.send(offset),
      failed: parts.failed as (error: unknown) => void,
    })
    toAlerts.receive = (message) => alerts.push(message)
    fromAlerts.receive = (offset) => this.#stream.alertsTaken(offset)
    fromGateway.receive = ({ logEnds }) => opened.storage.expect(logEnds)
    this.ready = this.#open(gatewayLoop)
  }

  /** Resolves once the doors are open. */
  readonly ready: Promise<void>

  async #open(loop: GatewayLoop): Promise<void> {
    await this.#storageLoop.start()
    await loop.recover()
    this.gateway.replay().then(() => (this.isReplaying = false), this.#parts.failed)
    await this.gateway.listen('', 0)
  }

  static async start(parts: LifeParts): Promise<Life> {
    const { clock, random, bug } = parts
    const disk = bug.disk(parts.disk)
    const options = { segmentBytes: SEGMENT_BYTES, sparesMax: 2 }
    const log = await openFileLog({ disk, random, folder: `${FOLDER}/log`, options })
    await parts.opened(log)
    const catalogue = Catalogue.over(parts.catalogue, 'the catalogue', { mustExist: false })
    // The database outlives the process, as the file on a disk does.
    catalogue.close = () => undefined
    const objects = await openFolderObjects({ folder: COLD_FOLDER, disk, random: parts.random })
    const storage = await openStorage({
      folder: FOLDER,
      world: { clock, disk },
      options: {
        ...STORAGE,
        aging: { ...AGING, objects },
        listener: {
          ...NOBODY,
          aged: ({ moved }) => parts.aged(moved),
          // It is tried again; what has no code is no fault of the world.
          agingFailed: (cause) => {
            if ((cause as { code?: string }).code === undefined) parts.failed(cause as Error)
          },
          segmentDamaged: ({ file }) => parts.damaged(file),
          stateLost: parts.damaged,
          eventDamaged: parts.damaged,
        },
      },
      adapters: {
        files: (cold) => createPlainFiles(`${FOLDER}/segments`, disk, cold),
        catalogue: bug.catalogue(catalogue),
      },
    })
    const life = new Life({ ...parts, disk }, { log: watched(log, parts.appended), storage })
    await life.ready
    return life
  }

  /** A clean stop, as the embedded engine makes it. */
  async stop(): Promise<void> {
    await this.gateway.stop()
    await this.#stream.flush()
    await this.#storageLoop.stop()
  }

  /** Commits what was processed so far. */
  flush(): Promise<void> {
    return this.#stream.flush()
  }

  /** Entries that the log has forgotten and storage does not have; never more than none. */
  get entriesLost(): number {
    return this.log.firstOffset - this.storage.statistics().lastCommitOffset - 1
  }

  get held(): Held {
    const { readingsInMemory, mergeDebt } = this.storage.statistics()
    return {
      lagBytes: this.gateway.commit.forwarding.lagBytes,
      queued: this.#channels.reduce((sum, { length }) => sum + length, 0),
      readingsInMemory,
      logEntries: this.log.nextOffset - this.log.firstOffset,
      mergeDebt,
    }
  }
}

/** The log, telling of each entry as it becomes durable. */
function watched(log: Log, appended: LifeParts['appended']): Log {
  return withAppend(log, async (bytes) => {
    const copy = bytes.slice()
    const offset = await log.append(bytes)
    appended(offset, copy)
    return offset
  })
}
