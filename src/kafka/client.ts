/**
 * Connections to all brokers for one user of them, and what is known of the cluster. Each appender
 * and reader has its own: a broker answers the requests of one connection one after the other, so
 * a fetch that waits for entries would hold up what comes behind it.
 */
import { ConnectionPool, metadataV12, type Connection } from '@platformatic/kafka'
import type { ConnectionOptions } from 'node:tls'
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import { failureOf, isPassing } from './failures.ts'
import type { KafkaAccess } from './kafka.ts'

const CONNECT_MS_MAX = 5000
/**
 * A broker that hangs is given up after this. It answers an append within PRODUCE_MS_MAX and a read
 * within `waitMs`; the rest is the way there and back, and its queue.
 */
const REQUEST_MS_MAX = 15_000
/** How long something is tried before the caller hears of it: longer than electing a leader. */
export const TRY_MS_MAX = 30_000
/** Between two tries: an election takes some hundred milliseconds. */
export const RETRY_MS = 100

export interface ClientSettings {
  access: KafkaAccess
  /** Certificates, when TLS is wanted. */
  tls: ConnectionOptions | undefined
  clock: Clock
  /** Called when it begins to close. */
  onClose?: () => void
}

interface Broker {
  host: string
  port: number
}

export class KafkaClient {
  readonly access: KafkaAccess
  readonly clock: Clock
  readonly #pool: ConnectionPool
  readonly #bootstrap: Broker[]
  readonly #brokers = new Map<number, Broker>()
  /** By topic, then partition: the node that leads it. */
  readonly #leaders = new Map<string, Map<number, number>>()
  readonly #onClose: (() => void) | undefined
  #isClosed = false

  constructor({ access, tls, clock, onClose }: ClientSettings) {
    this.access = access
    this.clock = clock
    this.#onClose = onClose
    this.#bootstrap = access.brokers.map(brokerOf)
    this.#pool = new ConnectionPool(access.clientId, {
      connectTimeout: CONNECT_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      ...(tls === undefined ? {} : { tls, tlsServerName: namesServer(this.#bootstrap) }),
      ...(access.sasl === undefined ? {} : { sasl: access.sasl }),
    })
    // A second error of a connection that was given up would end the process.
    this.#pool.on('connecting', ({ connection }) => connection.on('error', () => undefined))
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Any broker that answers. */
  async anyConnection(): Promise<Connection> {
    this.#checkOpen()
    return this.#pool.getFirstAvailable([...this.#bootstrap, ...this.#brokers.values()])
  }

  async connectionTo(node: number): Promise<Connection> {
    this.#checkOpen()
    const broker = this.#brokers.get(node)
    if (broker !== undefined) return this.#pool.get(broker)
    throw new WeirError('LOG_UNAVAILABLE', `There is no Kafka broker ${node} any more`)
  }

  #checkOpen(): void {
    if (this.#isClosed) throw closed()
  }

  /** Asks for a topic's leaders anew. Partitions without one are left out. */
  async refreshLeaders(topic: string): Promise<ReadonlyMap<number, number>> {
    const { topics } = await this.metadata([topic])
    const partitions = topics[0]?.partitions ?? []
    const led = partitions.filter(({ leaderId }) => leaderId >= 0)
    const leaders = new Map(led.map((one) => [one.partitionIndex, one.leaderId]))
    this.#leaders.set(topic, leaders)
    return leaders
  }

  forgetLeaders(topic: string): void {
    this.#leaders.delete(topic)
  }

  /** The node that leads a partition. LOG_UNAVAILABLE when there is none. */
  async leaderOf(topic: string, partition: number): Promise<number> {
    const leaders = this.#leaders.get(topic) ?? (await this.refreshLeaders(topic))
    const leader = leaders.get(partition)
    if (leader !== undefined) return leader
    this.forgetLeaders(topic)
    throw new WeirError('LOG_UNAVAILABLE', `Nobody leads partition ${partition} of ${topic}`)
  }

  /** The brokers, and these topics as one broker knows them. Throws when one is not there. */
  async metadata(topics: readonly string[]): Promise<metadataV12.MetadataResponse> {
    const connection = await this.anyConnection()
    const response = await metadataV12.api
      .async(connection, [...topics], false, false)
      .catch(responseDespite<metadataV12.MetadataResponse>(isLeaderMissing))
    this.#brokers.clear()
    for (const { nodeId, host, port } of response.brokers) this.#brokers.set(nodeId, { host, port })
    return response
  }

  /**
   * Does it until it works, what is wrong is not passing, or TRY_MS_MAX are over. Leaders are asked
   * for anew each time.
   */
  async retry<T>(topic: string, doing: string, attempt: () => Promise<T>): Promise<T> {
    const startMs = this.clock.monotonicMs()
    for (;;) {
      try {
        return await attempt()
      } catch (error) {
        this.forgetLeaders(topic)
        const failure = this.failureOf(error, doing)
        const isOver = this.clock.monotonicMs() - startMs > TRY_MS_MAX
        if (isOver || !isPassing(failure)) throw failure
        await new Promise<void>((resolve) => void this.clock.after(RETRY_MS, resolve))
      }
    }
  }

  failureOf(error: unknown, doing: string): unknown {
    return this.#isClosed ? closed() : failureOf(error, doing, this.access)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#onClose?.()
    await this.#pool.close()
  }
}

export const closed = (): WeirError => new WeirError('GATEWAY_SHUTTING_DOWN', 'Kafka was closed')

function brokerOf(address: string): Broker {
  const { hostname, port } = new URL(`kafka://${address}`)
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? 9092 : Number(port) }
}

/** Whether brokers have names, which TLS may be told; it must not be told addresses (RFC 6066). */
const namesServer = (brokers: readonly Broker[]): boolean =>
  brokers.every(({ host }) => !/^[\d.]+$/.test(host) && !host.includes(':'))

interface PartialFailure<Response> {
  response?: Response
  errors?: { apiId?: string; path?: string }[]
}

/**
 * The library throws a response in which anything failed. This gives it back where all that failed
 * is `bearable`.
 */
export const responseDespite =
  <Response>(bearable: (failure: { apiId?: string; path?: string }) => boolean) =>
  (error: unknown): Response => {
    const { response, errors = [] } = error as PartialFailure<Response>
    if (response !== undefined && errors.every(bearable)) return response
    throw error
  }

/** A partition without a leader is one of the answers. */
const isLeaderMissing = ({ apiId, path = '' }: { apiId?: string; path?: string }): boolean =>
  path.includes('/partitions/') &&
  (apiId === 'LEADER_NOT_AVAILABLE' ||
    apiId === 'REPLICA_NOT_AVAILABLE' ||
    apiId === 'LISTENER_NOT_FOUND')
