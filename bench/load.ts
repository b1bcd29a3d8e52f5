/** What the generator is asked to do, and what it says. Both cross a process boundary as JSON. */
import type { LatencySummary } from './histogram.ts'

export interface LoadClient {
  /** MQTT: user name and client id; HTTP: unused. */
  name: string
  /** Password, or bearer token. */
  secret: string
  /** The devices that it speaks for; all ids of one length. */
  devices: string[]
}

export interface LoadJob {
  protocol: 'mqtt' | 'http'
  port: number
  clients: LoadClient[]
  /** MQTT: packets in flight on each connection. HTTP has one request. */
  window: number
  messagesPerPacket: number
  /** How long to send; afterwards everything outstanding is waited for. */
  seconds: number
  /** Messages a second over all connections; 0: as fast as they are acknowledged. */
  rate: number
  seed: number
  /** Latencies count from then on: the generator's code is cold at first. 0: all count. */
  warmUpMs: number
  /**
   * How it ends. 'drain' (default): everything due is sent and waited for. 'abandon': for rates
   * beyond what is taken; what found no room is given up, what was sent is waited for, and latency
   * counts from the send. 'kill': the server's death ends it, at any time.
   */
  end?: 'drain' | 'abandon' | 'kill'
}

export interface LoadReport {
  messages: number
  /** From the first send to the last acknowledgement. */
  seconds: number
  /** Messages acknowledged within the sending time, divided by it. */
  rate: number
  latencyMs: LatencySummary
  /** Of the generator itself: CPU seconds a second. */
  cpu: number
  /** Messages that were due. */
  offered: number
  /** In the order of the clients: messages sent, and those of them acknowledged. */
  connections: { sent: number; acknowledged: number }[]
}

/** Four times a second. */
export interface LoadProgress {
  /** Messages since the start. */
  acknowledged: number
  seconds: number
  /** Of what was acknowledged since the last word; NaN when nothing was. */
  latencyMs: LatencySummary
}

/** From the generator, in this order. */
export type GeneratorWord =
  | { word: 'connected' }
  | { word: 'progress'; progress: LoadProgress }
  | { word: 'done'; report: LoadReport }
  | { word: 'failed'; problem: string }

/** A connection of either protocol, as the generator drives it. */
export interface LoadConnection {
  /** Resolves once it is ready to send. */
  ready: Promise<void>
  /** Packets that may be sent now. */
  readonly room: number
  /** Sends up to `packets`; their latency counts from `scheduledMs`. */
  send(packets: number, scheduledMs: number): void
  readonly outstanding: number
  /** Packets, in all. */
  readonly sent: number
  close(): void
}

export interface LoadEvents {
  /** `packets` were acknowledged, `latencyMs` after they were due. */
  acknowledged(connection: LoadConnection, packets: number, latencyMs: number): void
  failed(problem: string): void
}
