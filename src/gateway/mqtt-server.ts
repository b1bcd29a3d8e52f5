/** All MQTT connections: who is there, who is silent, who waits for the brake to be released. */
import { WeirError, type ErrorCode } from '../errors/errors.ts'
import type { Listener, Network } from '../world/world.ts'
import { ConnectRate } from './connect-rate.ts'
import type { DeviceState } from './device-state.ts'
import type { Session } from './mqtt-connect.ts'
import { MqttConnection } from './mqtt-connection.ts'
import type { MqttContext } from './mqtt-context.ts'
import { publishWill } from './mqtt-publish.ts'

const SWEEP_INTERVAL_MS = 1000
/** A sweep this late: the process stood still (a debugger, a paused machine, SIGSTOP). */
const STALL_MS = 3000

export type MqttServerParts = Omit<
  MqttContext,
  'isBlocked' | 'hold' | 'hasSession' | 'joined' | 'left' | 'failed' | 'refusedFilter'
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
  readonly filterRefusals = new Map<string, number>()
  readonly #network: Network
  readonly #connections = new Set<MqttConnection>()
  /** By device and client id; a device cannot end another's session. */
  readonly #sessions = new Map<string, MqttConnection>()
  /** In the order in which they were stopped. */
  readonly #held = new Set<MqttConnection>()
  #listener: Listener | undefined
  #stopSweep: (() => void) | undefined
  #isStopping = false
  #sweptMs = 0

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
    const { connectionsMax, connectRateMax } = this.limits
    const rate = new ConnectRate(this.clock, connectRateMax)
    const admits = (address: string): boolean => {
      const isAdmitted = rate.admits(address)
      if (!isAdmitted) this.#count('MQTT_CONNECT_RATE_EXCEEDED')
      return isAdmitted
    }
    const dropped = (): void => this.#count('MQTT_CONNECTIONS_EXCEEDED')
    const options = { host, port, connectionsMax, admits, dropped }
    this.#listener = await this.#network.listen(options, (socket) => {
      const connection = new MqttConnection(socket, this)
      this.#connections.add(connection)
      this.accepted++
      return connection
    })
    this.#sweptMs = this.clock.monotonicMs()
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

  /** Connections that wait for the registry. */
  get askingCount(): number {
    return [...this.#connections].filter(({ isAsking }) => isAsking).length
  }

  hasSession(device: DeviceState, clientId: string): boolean {
    return this.#sessions.has(sessionKey(device, clientId))
  }

  joined(connection: MqttConnection, { device, clientId }: Session): void {
    const key = sessionKey(device, clientId)
    const before = this.#sessions.get(key)
    this.#sessions.set(key, connection)
    device.connections++
    before?.fail(new WeirError('MQTT_SESSION_TAKEN_OVER')) // [MQTT-3.1.4-2] (5: -3)
  }

  left(connection: MqttConnection): void {
    this.#connections.delete(connection)
    this.#held.delete(connection)
    const { session } = connection
    if (session === undefined) return
    session.device.connections--
    const key = sessionKey(session.device, session.clientId)
    if (this.#sessions.get(key) === connection) this.#sessions.delete(key)
    publishWill(connection, session)
  }

  failed(error: WeirError): void {
    this.#count(error.code)
  }

  refusedFilter(reason: string, reasonCode: number): number {
    this.filterRefusals.set(reason, (this.filterRefusals.get(reason) ?? 0) + 1)
    return reasonCode
  }

  #count(code: ErrorCode): void {
    this.failures.set(code, (this.failures.get(code) ?? 0) + 1)
  }

  /** Takes no new connection; those that are there hear that the server goes, and why. */
  async stop(reason: 'GATEWAY_SHUTTING_DOWN' | 'GATEWAY_REPLACED'): Promise<void> {
    this.#isStopping = true
    this.#stopSweep?.()
    const closing = this.#listener?.close()
    await this.commit.drain()
    for (const connection of this.#connections) {
      if (connection.session !== undefined) connection.session.will = undefined
      connection.fail(new WeirError(reason))
    }
    await closing
  }

  /** Ends connections that never said who they are, and those silent beyond their keep-alive. */
  #sweep(): void {
    if (this.#isStopping) return
    const nowMs = this.clock.monotonicMs()
    const hasStalled = nowMs - this.#sweptMs > STALL_MS
    this.#sweptMs = nowMs
    // What clients said meanwhile waits in their sockets: it is read before they are judged.
    if (hasStalled) return
    for (const connection of this.#connections) {
      const { session } = connection
      if (session === undefined) {
        // Not since it was last seen: that would move with every dripped byte.
        if (nowMs - connection.acceptedMs <= this.limits.connectTimeoutMs) continue
        connection.fail(new WeirError('MQTT_CONNECT_TIMEOUT'))
      } else if (connection.isHeld) {
        this.#sweepHeld(connection, nowMs)
      } else if (nowMs - connection.lastSeenMs > session.silenceMsMax) {
        connection.fail(new WeirError('MQTT_KEEP_ALIVE_TIMEOUT'))
      }
    }
  }

  /** Its silence is our doing. Held too long, it had better ask another server, or us again. */
  #sweepHeld(connection: MqttConnection, nowMs: number): void {
    const { isUnread } = connection
    if (nowMs - connection.heldSinceMs > this.limits.heldMsMax) {
      if (isUnread) connection.cut(new WeirError('MQTT_CLIENT_NOT_READING'))
      else connection.fail(new WeirError('GATEWAY_OVERLOADED'))
    } else if (connection.isAsking) connection.askAgain()
    else if (!isUnread && !this.isBlocked()) {
      this.#held.delete(connection)
      connection.release()
    }
  }
}

/** Neither a device's id nor a client id holds a NUL. */
const sessionKey = (device: DeviceState, clientId: string): string => `${device.id}\0${clientId}`
