/**
 * Appends to one topic as an idempotent producer, acknowledged by all in-sync replicas.
 *
 * Why not the library's own producer: it sends all messages of one send() to the leader of the
 * first one, for ever when leaders moved while it tried; it goes on with its sequence numbers after
 * a failed send, so what follows is refused or taken for a repeat; and it makes objects for each
 * message. Connections, TLS, SASL and the protocol's smaller messages are the library's.
 *
 * Order: a partition has one batch on its way at most, and a broker one request. All partitions
 * that a broker leads go into one request. What is appended meanwhile is the next batch.
 */
import { initProducerIdV4, produceV9, Writer, type Connection } from '@platformatic/kafka'
import { protocolErrors, protocolErrorsCodesById } from '@platformatic/kafka'
import { WeirError } from '../errors/errors.ts'
import { closed, RETRY_MS, TRY_MS_MAX, type KafkaClient } from './client.ts'
import { isPassing } from './failures.ts'
import type { Appender, NewEntry } from './kafka.ts'
import { Lane, type Call } from './lane.ts'
import { batchBytesMaxOf } from './topics.ts'

/**
 * A leader waits this long for its replicas. One that dies leaves their circle after
 * broker.session.timeout.ms, 9 s unless set otherwise, and the append succeeds.
 */
const PRODUCE_MS_MAX = 10_000
const PRODUCE_KEY = 0
const PRODUCE_VERSION = 9
/** A broker takes up to 100 MiB (socket.request.max.bytes); what is left goes next. */
const REQUEST_BYTES_MAX = 16 << 20
const ALL_IN_SYNC = -1
/** The leader does not know the batch before: it lost it, or forgot who we are. */
const FORGOTTEN = ['OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID', 'INVALID_PRODUCER_EPOCH']
const TOO_LARGE = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']

interface Sent {
  lane: Lane
  batch: Uint8Array
}

export class KafkaAppender implements Appender {
  readonly #client: KafkaClient
  readonly #topic: string
  readonly #lanes = new Map<number, Lane>()
  readonly #busyLeaders = new Set<number>()
  /** By partition; undefined when they must be asked for. */
  #leaders: ReadonlyMap<number, number> | undefined
  #batchBytesMax: number | undefined
  #isPreparing = false

  readonly #askBatchBytesMax: () => Promise<number>

  constructor(
    client: KafkaClient,
    topic: string,
    askBatchBytesMax = () => batchBytesMaxOf(client, topic),
  ) {
    this.#client = client
    this.#topic = topic
    this.#askBatchBytesMax = askBatchBytesMax
  }

  async append(entries: readonly NewEntry[]): Promise<Map<number, number>> {
    if (this.#client.isClosed) throw closed()
    const firstOffsets = new Map<number, number>()
    if (entries.length === 0) return firstOffsets
    const { promise, resolve, reject } = Promise.withResolvers<Map<number, number>>()
    const call: Call = { missing: entries.length, firstOffsets, isRefused: false, resolve, reject }
    for (const [partition, part] of byPartition(entries)) this.#laneOf(partition).add(call, part)
    this.#wake()
    return promise
  }

  #laneOf(partition: number): Lane {
    let lane = this.#lanes.get(partition)
    if (lane === undefined) {
      lane = new Lane(partition)
      this.#lanes.set(partition, lane)
    }
    return lane
  }

  /** Sends to each leader that is idle what waits for it. */
  #wake(): void {
    if (this.#client.isClosed) return
    const nowMs = this.#client.clock.monotonicMs()
    const waiting = new Map<number, Lane[]>()
    let mustPrepare = false
    for (const lane of this.#lanes.values()) {
      if (!lane.hasWork || lane.isSending || lane.pausedUntilMs > nowMs) continue
      const leader = this.#leaders?.get(lane.partition)
      const isReady = lane.producerId !== undefined && this.#batchBytesMax !== undefined
      if (leader === undefined || !isReady) mustPrepare = true
      else if (!this.#busyLeaders.has(leader))
        waiting.set(leader, [...(waiting.get(leader) ?? []), lane])
    }
    if (mustPrepare) void this.#prepare()
    else for (const [leader, lanes] of waiting) void this.#send(leader, lanes)
  }

  /** Finds out what sending needs, and wakes it up. */
  async #prepare(): Promise<void> {
    if (this.#isPreparing) return
    this.#isPreparing = true
    try {
      this.#leaders ??= await this.#client.refreshLeaders(this.#topic)
      this.#batchBytesMax ??= await this.#askBatchBytesMax()
      await this.#identify()
      const unled = this.#working().filter(({ partition }) => !this.#leaders!.has(partition))
      if (unled.length > 0) {
        const [{ partition }] = unled as [Lane]
        const what = `Nobody leads partition ${partition} of ${this.#topic}`
        for (const lane of unled) this.#failed(lane, new WeirError('LOG_UNAVAILABLE', what))
      }
    } catch (error) {
      const failure = this.#client.failureOf(error, `Appending to ${this.#topic}`)
      for (const lane of this.#working()) this.#failed(lane, failure)
    } finally {
      this.#isPreparing = false
    }
    this.#wake()
  }

  #working(): Lane[] {
    return [...this.#lanes.values()].filter(({ hasWork, isSending }) => hasWork && !isSending)
  }

  /** One producer for all partitions that have none: sequences are counted for each. */
  async #identify(): Promise<void> {
    const isNew = ({ producerId }: Lane): boolean => producerId === undefined
    if (![...this.#lanes.values()].some(isNew)) return
    const connection = await this.#client.anyConnection()
    const { producerId } = await initProducerIdV4.api.async(connection, null, 0)
    for (const lane of this.#lanes.values()) if (isNew(lane)) lane.identify(producerId)
  }

  async #send(leader: number, lanes: readonly Lane[]): Promise<void> {
    const sent = this.#take(lanes)
    if (sent.length === 0) return
    this.#busyLeaders.add(leader)
    for (const { lane } of sent) lane.isSending = true
    try {
      const connection = await this.#client.connectionTo(leader)
      const response = await produce(connection, this.#topic, sent)
      const answers = response.responses.flatMap(({ partitionResponses }) => partitionResponses)
      for (const { lane } of sent) {
        lane.isSending = false
        this.#settle(
          lane,
          answers.find(({ index }) => index === lane.partition)!,
        )
      }
    } catch (error) {
      const failure = this.#client.failureOf(error, `Appending to ${this.#topic}`)
      for (const { lane } of sent) {
        lane.isSending = false
        this.#failed(lane, failure)
      }
    } finally {
      this.#busyLeaders.delete(leader)
    }
    this.#wake()
  }

  #take(lanes: readonly Lane[]): Sent[] {
    const timestampMs = Math.floor(this.#client.clock.nowUs() / 1000)
    const sent: Sent[] = []
    let bytes = 0
    // The one that got into the last request comes last into this one.
    for (const lane of lanes) {
      if (bytes > REQUEST_BYTES_MAX) break
      const batch = lane.take(this.#batchBytesMax!, timestampMs)
      if (batch === undefined) continue
      sent.push({ lane, batch })
      bytes += batch.length
      this.#lanes.delete(lane.partition)
      this.#lanes.set(lane.partition, lane)
    }
    return sent
  }

  #settle(lane: Lane, answer: produceV9.ProduceResponsePartition): void {
    const id = protocolErrorsCodesById[answer.errorCode] ?? 'UNKNOWN_SERVER_ERROR'
    if (answer.errorCode === 0) return lane.acknowledged(Number(answer.baseOffset))
    if (FORGOTTEN.includes(id)) {
      // What is on its way is the only batch, so it is not there, or the leader knew it.
      lane.renew()
      return this.#failed(lane, unavailable(this.#topic, lane, id))
    }
    const text = `${this.#topic}, partition ${lane.partition}: ${answer.errorMessage ?? id}`
    if (TOO_LARGE.includes(id)) {
      // The topic's settings were changed.
      this.#batchBytesMax = undefined
      return lane.fail(new WeirError('LOG_ENTRY_TOO_LARGE', text))
    }
    if (protocolErrors[id]?.canRetry !== true)
      return lane.fail(new WeirError('LOG_REQUEST_REFUSED', `${text} (${id})`))
    this.#failed(lane, unavailable(this.#topic, lane, id))
  }

  /** The batch is tried again a little later, unless it was tried for too long. */
  #failed(lane: Lane, failure: unknown): void {
    const { clock } = this.#client
    this.#leaders = undefined
    const nowMs = clock.monotonicMs()
    lane.failingSinceMs ??= nowMs
    if (!isPassing(failure) || nowMs - lane.failingSinceMs > TRY_MS_MAX) return lane.fail(failure)
    lane.pausedUntilMs = nowMs + RETRY_MS
    clock.after(RETRY_MS + 1, () => this.#wake())
  }

  async close(): Promise<void> {
    await this.#client.close()
    for (const lane of this.#lanes.values()) lane.fail(closed())
  }
}

function byPartition(entries: readonly NewEntry[]): Map<number, NewEntry[]> {
  const parts = new Map<number, NewEntry[]>()
  for (const entry of entries) {
    const part = parts.get(entry.partition)
    if (part === undefined) parts.set(entry.partition, [entry])
    else part.push(entry)
  }
  return parts
}

const unavailable = (topic: string, lane: Lane, id: string): WeirError =>
  new WeirError(
    'LOG_UNAVAILABLE',
    `${topic}, partition ${lane.partition}: ${protocolErrors[id]?.message ?? ''} (${id})`,
  )

/**
 *     Produce Request (version 9) => transactional_id COMPACT_NULLABLE_STRING, acks INT16,
 *       timeout_ms INT32, [topic COMPACT_STRING, [partition INT32, records COMPACT_RECORDS]]
 *
 * Says per partition what became of it, also when that is an error.
 */
function produce(
  connection: Connection,
  topic: string,
  sent: readonly Sent[],
): Promise<produceV9.ProduceResponse> {
  const request = (): Writer =>
    Writer.create()
      .appendString(null)
      .appendInt16(ALL_IN_SYNC)
      .appendInt32(PRODUCE_MS_MAX)
      .appendArray([topic], (writer) =>
        writer
          .appendString(topic)
          .appendArray([...sent], (writer, { lane, batch }) =>
            writer.appendInt32(lane.partition).appendBytes(bufferOf(batch)),
          ),
      )
      .appendTaggedFields()
  return new Promise((resolve, reject) => {
    connection.send(
      PRODUCE_KEY,
      PRODUCE_VERSION,
      request,
      produceV9.parseResponse,
      true,
      true,
      (error, response) => {
        const answered = response ?? (error as { response?: produceV9.ProduceResponse }).response
        if (answered === undefined) reject(error)
        else resolve(answered)
      },
    )
  })
}

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
