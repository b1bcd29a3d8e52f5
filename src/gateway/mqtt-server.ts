/** All MQTT connections: who is there, who is silent, who waits for the brake to be released. */
import { WeirError, type ErrorCode } from '../errors/errors.ts'
import type { Listener, Network } from '../world/world.ts'
import { MqttConnection } from './mqtt-connection.ts'
import type { MqttContext } from './mqtt-context.ts'
import { publishWill } from './mqtt-publish.ts'

const SWEEP_INTERVAL_MS = 1000

export type MqttServerParts = Omit<
  MqttContext,
  'isBlocked' | 'hold' | 'joined' | 'left' | 'failed'
> & { network: Network }

export class MqttServer implements MqttContext {
  readonly clock
  readonly random
  readonly limits
  readonly reader
  readonly devices
  readonly decoder
  readonly commit
  readonly ackBook
  /** Totals since start. */
  accepted = 0
  readonly failures = new Map<ErrorCode, number>()
  readonly #network: Network
  readonly #connections = new Set<MqttConnection>()
  /** By device and client id; a device cannot end another's session. */
  readonly #sessions = new Map<string, MqttConnection>()
  /** In the order in which they were stopped. */
  readonly #held = new Set<MqttConnection>()
  #listener: Listener | undefined
  #stopSweep: (() => void) | undefined
  #isStopping = false

  constructor(parts: MqttServerParts) {
    this.clock = parts.clock
    this.random = parts.random
    this.limits = parts.limits
    this.reader = parts.reader
    this.devices = parts.devices
    this.decoder = parts.decoder
    this.commit = parts.commit
    this.ackBook = parts.ackBook
    this.#network = parts.network
  }

  get connectionCount(): number {
    return this.#connections.size
  }

  /** Resolves with the port. Throws PORT_IN_USE. */
  async listen(host: string, port: number): Promise<number> {
    const { connectionsMax } = this.limits
    this.#listener = await this.#network.listen({ host, port, connectionsMax }, (socket) => {
      const connection = new MqttConnection(socket, this)
      this.#connections.add(connection)
      this.accepted++
      return connection
    })
    this.#stopSweep = this.clock.every(SWEEP_INTERVAL_MS, () => this.#sweep())
    return this.#listener.port
  }

  isBlocked(): boolean {
    return this.commit.isBlocked
  }

  hold(connection: MqttConnection): void {
    this.#held.add(connection)
  }

  /**
   * The brake is released. Once what the first ones had brings it back, the others stay as they
   * are: to stop them again would copy what they hold, for each batch again.
   */
  releaseHeld(): void {
    for (const connection of [...this.#held]) {
      if (this.isBlocked()) return
      this.#held.delete(connection)
      connection.release()
    }
  }

  get heldCount(): number {
    return this.#held.size
  }

  joined(connection: MqttConnection): void {
    const key = sessionKey(connection)
    const before = this.#sessions.get(key)
    this.#sessions.set(key, connection)
    before?.fail(new WeirError('MQTT_SESSION_TAKEN_OVER')) // [MQTT-3.1.4-2] (5: -3)
  }

  left(connection: MqttConnection): void {
    this.#connections.delete(connection)
    this.#held.delete(connection)
    const { session } = connection
    if (session === undefined) return
    const key = sessionKey(connection)
    if (this.#sessions.get(key) === connection) this.#sessions.delete(key)
    publishWill(connection, session)
  }

  failed(error: WeirError): void {
    this.failures.set(error.code, (this.failures.get(error.code) ?? 0) + 1)
  }

  /** Takes no new connection; those that are there hear that the server goes. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#stopSweep?.()
    const closing = this.#listener?.close()
    await this.commit.drain()
    for (const connection of this.#connections) {
      if (connection.session !== undefined) connection.session.will = undefined
      connection.fail(new WeirError('GATEWAY_SHUTTING_DOWN'))
    }
    await closing
  }

  /** Ends connections that never said who they are, and those silent beyond their keep-alive. */
  #sweep(): void {
    if (this.#isStopping) return
    const nowMs = this.clock.monotonicMs()
    for (const connection of this.#connections) {
      if (connection.isHeld) {
        // Its silence is our doing. Held too long, it had better ask another server, or us again.
        const isOverdue = nowMs - connection.heldSinceMs > this.limits.heldMsMax
        if (isOverdue) connection.fail(new WeirError('GATEWAY_OVERLOADED'))
        continue
      }
      const { session, lastSeenMs } = connection
      const allowedMs = session === undefined ? this.limits.connectTimeoutMs : session.keepAliveMs
      // lastSeenMs of one that did not connect yet must not move with every dripped byte.
      const sinceMs = session === undefined ? connection.acceptedMs : lastSeenMs
      if (allowedMs === 0 || nowMs - sinceMs <= allowedMs) continue
      connection.fail(new WeirError('MQTT_KEEP_ALIVE_TIMEOUT'))
    }
  }
}

function sessionKey(connection: MqttConnection): string {
  const { session } = connection
  return `${session?.device.id}\0${session?.clientId}`
}
