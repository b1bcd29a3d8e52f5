/**
 * The gateway stage, put together: what comes in by MQTT and HTTP is decoded, checked and made
 * durable, and goes on to the stream. One instance lives on the gateway's thread.
 */
import type { Definitions, RuleChange } from '../batch/batch.ts'
import type { DeviceNumbers, DeviceReader, Principal } from '../control/control.ts'
import { WeirError } from '../errors/errors.ts'
import type { Log, LogAppender } from '../log/log.ts'
import { Registry, SloCounter } from '../observe/observe.ts'
import { keptUs, type Plan } from '../pipeline/pipeline.ts'
import type { World } from '../world/world.ts'
import { BatchBuilder } from './batch-builder.ts'
import { DeadLetterBox } from './dead-letter-box.ts'
import { DeviceTable, type DeviceState } from './device-state.ts'
import { GatewayTypes } from './device-types.ts'
import { Dictionary, type DictionaryLimits } from './dictionary.ts'
import { TimeKeeper } from './event-time.ts'
import type { Forward } from './forwarding.ts'
import { FramePool } from './frame-pool.ts'
import { FrameRoom, messageShare, type RoomLimits } from './frame-room.ts'
import type { IngestRequest, IngestResult, TelemetryDoor } from './gateway.ts'
import { GroupCommit, type GroupCommitLimits } from './group-commit.ts'
import { LineDoor } from './line-door.ts'
import { LookAhead } from './look-ahead.ts'
import { LogTail, type LostEntries, type Tail } from './log-tail.ts'
import { MessageWriter, type MessageLimits } from './message.ts'
import { AckBook } from './mqtt-acks.ts'
import type { MqttLimits } from './mqtt-context.ts'
import { MqttServer } from './mqtt-server.ts'
import { ShapeMatcher } from './shape-matcher.ts'
import { TelemetryDecoder, type Sender } from './telemetry-decoder.ts'
import { WaitingRoom } from './waiting-room.ts'

const TICK_INTERVAL_MS = 1000

export interface GatewayOptions {
  plan: Plan
  limits: Omit<DictionaryLimits, 'definitionBytesMax' | 'factsBytesMax'> &
    MessageLimits &
    GroupCommitLimits &
    RoomLimits & { deadLettersPerDeviceMax: number }
  mqtt: MqttLimits
  deviceTags: readonly string[]
  tenant: string
}

export interface GatewayParts {
  world: World
  log: LogAppender
  reader: DeviceReader
  forward: Forward
  /** Registers devices that line protocol names, or undefined where that is not allowed. */
  register: ((ids: string[]) => Promise<void>) | undefined
}

/** The gateway's log where it is read back by the same process, after a restart. */
export interface OwnLog {
  log: Log
  numbers: Pick<DeviceNumbers, 'findByNumber'>
  /** While replaying: where the log ends now. Everything before that was acknowledged. */
  logEnds: (nextOffset: number) => void
  /** The log had lost entries that storage holds, and goes on behind them. */
  restarted: (log: { endsAt: number; goesOnAt: number }) => void
  /** Told of entries of the log that are damaged: what they held is lost. */
  lost: (entries: LostEntries) => void
}

export class Gateway implements TelemetryDoor {
  readonly mqtt: MqttServer
  readonly commit: GroupCommit
  readonly decoder: TelemetryDecoder
  readonly deadLetters: DeadLetterBox
  /** Totals since start. */
  acceptedMessages = 0
  acceptedReadings = 0
  readonly registry = new Registry()
  readonly #slo = new SloCounter(this.registry)
  readonly #flushSeconds = this.registry.histogram(
    'weir_log_flush_seconds',
    'From handing a batch to the log until it is durable.',
  )
  readonly #lostEntries = this.registry.counter(
    'weir_log_lost_entries_total',
    'Acknowledged entries that were found damaged, and could not be replayed.',
  )
  readonly #parts: GatewayParts
  readonly #builder = new BatchBuilder()
  readonly #dictionary: Dictionary
  readonly #devices: DeviceTable
  readonly #lines: LineDoor
  readonly #tenant: string
  /** Undefined where nothing ever need be asked ahead. */
  readonly #lookAhead: LookAhead | undefined
  #stopTicks: (() => void) | undefined
  #replaying: Promise<void> = Promise.resolve()

  constructor(parts: GatewayParts, options: GatewayOptions) {
    this.#parts = parts
    this.#tenant = options.tenant
    const { world, log, reader } = parts
    const { limits, plan, tenant } = options
    const builder = this.#builder
    const pool = new FramePool()
    const share = messageShare(limits)
    const dictionary = (this.#dictionary = new Dictionary({ ...limits, ...share }))
    const room = new FrameRoom({ builder, dictionary }, limits)
    const types = new GatewayTypes(plan)
    const devices = (this.#devices = new DeviceTable({ reader, types, dictionary, tenant }))
    const time = new TimeKeeper(plan.time, keptUs(plan.retention))
    const metricsPerMessageMax = Math.min(limits.metricsPerMessageMax, share.readingsMax)
    const messageLimits = { ...limits, metricsPerMessageMax }
    const writer = new MessageWriter({ builder, dictionary, time, limits: messageLimits })
    const matcher = new ShapeMatcher({ builder, dictionary, devices })
    const perDeviceMax = limits.deadLettersPerDeviceMax
    const deadLetters = new DeadLetterBox(builder, { perDeviceMax, ...share })
    this.deadLetters = deadLetters
    const decoding = { builder, devices, room, time, writer, matcher, deadLetters }
    this.decoder = new TelemetryDecoder(decoding)
    const { decoder } = this
    const { deviceTags } = options
    const makeRoom = (): void => this.commit.makeRoom()
    this.#lines = new LineDoor({ decoder, writer, deviceTags, makeRoom })
    if (reader.prepare !== undefined) {
      this.#lookAhead = new LookAhead({ reader, devices, lines: this.#lines, tenant })
    }
    const { clock } = world
    this.commit = new GroupCommit({
      builder,
      dictionary,
      room,
      log,
      clock,
      pool,
      limits,
      forward: parts.forward,
      durable: (messages, readings, flushMs) => this.#durable(messages, readings, flushMs),
      sealing: () => this.#ackBook.seal(),
      unblocked: () => {
        this.mqtt.releaseHeld()
        this.#waitingRoom.call()
      },
    })
    this.#waitingRoom = new WaitingRoom(clock, () => this.commit.isBlocked)
    const ackBook = new AckBook(this.commit)
    this.#ackBook = ackBook
    const { random, network } = world
    const shared = { clock, random, network, reader, devices, decoder, ackBook }
    this.mqtt = new MqttServer({ ...shared, limits: options.mqtt, commit: this.commit })
  }

  readonly #ackBook: AckBook
  readonly #waitingRoom: WaitingRoom

  /**
   * Takes over what storage knows, and looks through what it has not seen of the log, from
   * `nextOffset` on: all definitions must be known before a message is decoded. Then the doors may
   * open, and replay() is due. Throws DATA_FILE_DAMAGED.
   */
  async recover(own: OwnLog, definitions: Definitions, nextOffset: number): Promise<Tail> {
    const { log, numbers, logEnds } = own
    const dictionary = this.#dictionary
    dictionary.restore(definitions)
    if (log.firstOffset > nextOffset) {
      throw new WeirError(
        'DATA_FILE_DAMAGED',
        `storage ends before entry ${nextOffset}, and the log begins only at ${log.firstOffset}`,
      )
    }
    if (log.nextOffset < nextOffset) {
      // Its end is gone, and nothing is lost by that: storage has it. But what is appended now must
      // not get offsets of which storage would say that it knows them.
      own.restarted({ endsAt: log.nextOffset, goesOnAt: nextOffset })
      await log.restartAt(nextOffset)
    }
    const tail = new LogTail({
      ...{ log, dictionary, numbers, tenant: this.#tenant },
      lost: (entries) => this.#lose(entries, own),
    })
    const found = await tail.examine(nextOffset)
    // Also an empty tail: the log may hold entries before it, which storage has.
    this.commit.hold(found, { log, tail, logEnds })
    return found
  }

  /** Hands the log's tail to the stages behind, and what came since behind it, in order. */
  replay(): Promise<void> {
    this.#replaying = this.commit.replay()
    return this.#replaying
  }

  /** Resolves with the MQTT port. */
  async listen(host: string, port: number): Promise<number> {
    const bound = await this.mqtt.listen(host, port)
    this.#stopTicks = this.#parts.world.clock.every(TICK_INTERVAL_MS, () => this.commit.tick())
    return bound
  }

  async ingest(request: IngestRequest): Promise<IngestResult> {
    const { register } = this.#parts
    const { body, principal } = request
    const asking = this.#lookAhead?.prepare(request)
    if (asking !== undefined) await this.#told(asking)
    await this.#enter()
    if (request.format === 'line' && register !== undefined && principal.kind === 'admin') {
      const missing = [...this.#lines.deviceIds(body)].filter((id) => !this.#devices.find(id))
      if (missing.length > 0) {
        await register(missing)
        await this.#told(this.#lookAhead?.load(missing, { isNew: true }))
      }
    }
    const sender = this.#sender(request)
    if (request.format === 'line') this.#lines.decode(body, request.precision, sender)
    else this.decoder.decode(body, 0, body.length, sender)
    const { accepted, rejectedCount, rejected } = this.decoder.outcome
    await new Promise<void>((resolve, reject) => {
      const failed = (error: WeirError): void => reject(this.#refuse(error))
      this.commit.expect({ isPatient: false, durable: resolve, failed })
    })
    return { accepted, rejectedCount, rejected }
  }

  /** Resolves once they are durable, at one place of the log. Throws as ingest() does. */
  async changeRules(changes: readonly RuleChange[]): Promise<void> {
    if (this.commit.failure !== undefined) throw this.commit.failure
    this.commit.makeRoom()
    this.#dictionary.changeRules(changes)
    await new Promise<void>((resolve, reject) => {
      this.commit.expect({ isPatient: false, durable: resolve, failed: reject })
    })
  }

  /** Of the registry. Throws CONTROL_UNAVAILABLE. */
  async #told(asking: Promise<void> | undefined): Promise<void> {
    try {
      await asking
    } catch (error) {
      throw this.#refuse(error as WeirError)
    }
  }

  /** Throws why nothing can become durable now, or GATEWAY_OVERLOADED. */
  async #enter(): Promise<void> {
    try {
      if (this.commit.failure === undefined) await this.#waitingRoom.enter()
    } catch (error) {
      throw this.#refuse(this.commit.failure ?? (error as WeirError))
    }
    if (this.commit.failure !== undefined) throw this.#refuse(this.commit.failure)
  }

  /** GATEWAY_REPLACED where other gateways take over at once. */
  async stop(
    reason: 'GATEWAY_SHUTTING_DOWN' | 'GATEWAY_REPLACED' = 'GATEWAY_SHUTTING_DOWN',
  ): Promise<void> {
    this.#stopTicks?.()
    this.commit.stopReplay()
    await this.mqtt.stop(reason)
    await this.commit.drain()
    await this.#replaying
    await this.#parts.log.close()
  }

  #lose(entries: LostEntries, own: OwnLog): void {
    this.#lostEntries.add(entries.toOffset - entries.fromOffset)
    own.lost(entries)
  }

  #refuse(error: WeirError): WeirError {
    this.#slo.refuse(error)
    return error
  }

  #durable(messages: number, readings: number, flushMs: number): void {
    this.#flushSeconds.observe(flushMs / 1000)
    this.acceptedMessages += messages
    this.acceptedReadings += readings
    this.#slo.accept(messages)
  }

  #sender(request: IngestRequest): Sender {
    const { principal, isHistorical } = request
    const nowUs = this.#parts.world.clock.nowUs()
    const { tenant } = principal
    const mayWrite = (device: DeviceState): boolean => this.#mayWrite(principal, device)
    const sender: Sender = { tenant, device: undefined, mayWrite, nowUs, isHistorical }
    const id = request.deviceId ?? (principal.kind === 'device' ? principal.deviceId : undefined)
    // A gateway's message without a device would be its own; it must say so, so that a forgotten
    // name does not go unnoticed.
    if (id !== undefined) sender.device = this.decoder.findDevice(id, sender)
    return sender
  }

  #mayWrite(principal: Principal, device: DeviceState): boolean {
    if (principal.kind === 'admin') return true
    if (device.id === principal.deviceId) return true
    return principal.kind === 'gateway' && device.parent === principal.deviceId
  }
}
