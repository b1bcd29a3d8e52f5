/** Reads one topic from where it is told, without a consumer group and without fetch sessions. */
import { fetchV12, protocolErrors, protocolErrorsCodesById } from '@platformatic/kafka'
import type { Connection, Reader as ResponseReader } from '@platformatic/kafka'
import { WeirError } from '../errors/errors.ts'
import type { KafkaClient } from './client.ts'
import { isPassing } from './failures.ts'
import type { ReadEntry, Reader } from './kafka.ts'
import { decodeBatches, type BatchDamage } from './record-batch.ts'
import { offsetGone } from './topics.ts'

const FETCH_KEY = 1
const FETCH_VERSION = 12
/** Less than a request may take, with room for the way there and back. */
const WAIT_MS_MAX = 5000
/** A partition gets this much in each answer, however many share it. */
const PARTITION_BYTES_MIN = 64 << 10
const OFFSET_OUT_OF_RANGE = 1

interface ManyOptions {
  positions: ReadonlyMap<number, number>
  bytesMax: number
  waitMs: number
}

/** What one partition answered. */
interface Fetched {
  partition: number
  errorCode: number
  entries: ReadEntry[]
  damage: BatchDamage | undefined
}

export class KafkaReader implements Reader {
  readonly #client: KafkaClient
  readonly #topic: string
  #turn = 0

  constructor(client: KafkaClient, topic: string) {
    this.#client = client
    this.#topic = topic
  }

  async read(options: {
    partition: number
    fromOffset: number
    bytesMax: number
    waitMs: number
  }): Promise<ReadEntry[]> {
    const { partition, fromOffset, bytesMax, waitMs } = options
    const positions = new Map([[partition, fromOffset]])
    return (await this.readMany({ positions, bytesMax, waitMs })).get(partition) ?? []
  }

  async readMany(options: ManyOptions): Promise<Map<number, ReadEntry[]>> {
    if (options.positions.size === 0) return new Map()
    return this.#client.retry(this.#topic, `Reading ${this.#topic}`, () => this.#readOnce(options))
  }

  async #readOnce(options: ManyOptions): Promise<Map<number, ReadEntry[]>> {
    const failures: unknown[] = []
    const byLeader = new Map<number, [number, number][]>()
    for (const position of options.positions) {
      try {
        const leader = await this.#client.leaderOf(this.#topic, position[0])
        byLeader.set(leader, [...(byLeader.get(leader) ?? []), position])
      } catch (error) {
        failures.push(error)
      }
    }
    const answers = await Promise.allSettled(
      [...byLeader].map(([leader, positions]) =>
        this.#fetch(leader, { ...options, positions: this.#rotated(positions) }),
      ),
    )
    const read = new Map<number, ReadEntry[]>()
    for (const answer of answers) {
      if (answer.status === 'rejected') failures.push(answer.reason)
      else
        for (const one of answer.value) {
          const failure = await this.#take(one, options, read)
          if (failure !== undefined) failures.push(failure)
        }
    }
    if (failures.length > 0) {
      this.#client.forgetLeaders(this.#topic)
      const refusal = failures.find((one) => !isPassing(this.#client.failureOf(one, '')))
      const failure = refusal ?? (read.size === 0 ? failures[0] : undefined)
      if (failure !== undefined) throw failure as Error
    }
    return read
  }

  /** The first partition of a request takes what it can: each comes first in its turn. */
  #rotated(positions: readonly [number, number][]): [number, number][] {
    const at = this.#turn++ % positions.length
    return [...positions.slice(at), ...positions.slice(0, at)]
  }

  /** Puts entries into `read`, or says why there are none. */
  async #take(
    { partition, errorCode, entries, damage }: Fetched,
    { positions }: ManyOptions,
    read: Map<number, ReadEntry[]>,
  ): Promise<unknown> {
    const [client, topic, offset] = [this.#client, this.#topic, positions.get(partition)!]
    if (errorCode === OFFSET_OUT_OF_RANGE) return offsetGone(client, topic, { partition, offset })
    if (errorCode !== 0) return answerOf(topic, partition, errorCode)
    if (entries.length > 0) read.set(partition, entries)
    else if (damage !== undefined) {
      const segment = `${topic}, partition ${partition}`
      const text = `${segment}: the batch with offset ${damage.offset} is damaged`
      return new WeirError('LOG_ENTRY_DAMAGED', text, { details: { segment, ...damage } })
    }
    return undefined
  }

  async #fetch(
    leader: number,
    options: { positions: [number, number][]; bytesMax: number; waitMs: number },
  ): Promise<Fetched[]> {
    const connection = await this.#client.connectionTo(leader)
    return fetch(connection, this.#topic, options)
  }

  close(): Promise<void> {
    return this.#client.close()
  }
}

function answerOf(topic: string, partition: number, errorCode: number): WeirError {
  const id = protocolErrorsCodesById[errorCode] ?? 'UNKNOWN_SERVER_ERROR'
  const { canRetry = false, message = '' } = protocolErrors[id] ?? {}
  const code = canRetry ? 'LOG_UNAVAILABLE' : 'LOG_REQUEST_REFUSED'
  return new WeirError(code, `${topic}, partition ${partition}: ${message} (${id})`)
}

function fetch(
  connection: Connection,
  topic: string,
  options: { positions: [number, number][]; bytesMax: number; waitMs: number },
): Promise<Fetched[]> {
  const { positions, bytesMax, waitMs } = options
  const partitionMaxBytes = Math.max(PARTITION_BYTES_MIN, Math.ceil(bytesMax / positions.length))
  const partitions = positions.map(([partition, fetchOffset]) => ({
    ...{ partition, fetchOffset: BigInt(fetchOffset), partitionMaxBytes },
    ...{ currentLeaderEpoch: -1, lastFetchedEpoch: -1 },
  }))
  // Up to version 12 a topic's name stands where its id stands later.
  const topics = [{ topicId: topic, partitions }]
  const waitAtMostMs = Math.min(waitMs, WAIT_MS_MAX)
  const request = () => fetchV12.createRequest(waitAtMostMs, 1, bytesMax, 0, 0, -1, topics, [], '')
  const fromOffsets = new Map(positions)
  return new Promise((resolve, reject) => {
    connection.send<Fetched[]>(
      FETCH_KEY,
      FETCH_VERSION,
      request,
      (_correlationId, _key, _version, reader) => parseResponse(reader, fromOffsets),
      true,
      true,
      (error, fetched) => (fetched === undefined ? reject(error) : resolve(fetched)),
    )
  })
}

/**
 *     Fetch Response (version 12) => throttle_time_ms INT32, error_code INT16, session_id INT32,
 *       [topic COMPACT_STRING, [partition INT32, error_code INT16, high_watermark INT64,
 *         last_stable_offset INT64, log_start_offset INT64,
 *         [producer_id INT64, first_offset INT64] aborted, preferred_read_replica INT32,
 *         records COMPACT_RECORDS]]
 */
function parseResponse(
  reader: ResponseReader,
  fromOffsets: ReadonlyMap<number, number>,
): Fetched[] {
  // In one piece, so that entries are views of it.
  const bytes = reader.buffer.slice()
  reader.skip(4)
  const errorCode = reader.readInt16()
  reader.skip(4)
  const fetched: Fetched[] = []
  if (errorCode !== 0)
    return [...fromOffsets.keys()].map((partition) => ({
      ...{ partition, errorCode, entries: [], damage: undefined },
    }))
  reader.readArray((reader) => {
    reader.readString()
    reader.readArray((reader) => {
      const partition = reader.readInt32()
      const errorCode = reader.readInt16()
      reader.skip(24)
      reader.readNullableArray((reader) => reader.skip(16))
      reader.skip(4)
      const length = Math.max(0, reader.readUnsignedVarInt() - 1)
      const records = bytes.subarray(reader.position, reader.position + length)
      reader.skip(length)
      const entries: ReadEntry[] = []
      const damage = decodeBatches(records, fromOffsets.get(partition) ?? 0, entries)
      fetched.push({ partition, errorCode, entries, damage })
    })
  })
  return fetched
}
