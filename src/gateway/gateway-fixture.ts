/**
 * For tests of the gateway stage: one on a loopback port, over a log that waits or fails on demand.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect as tcpConnect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { generate, parser as createParser, type Packet } from 'mqtt-packet'
import type { DeviceReader } from '../control/control.ts'
import { openControl, type SqliteControl } from '../control/sqlite-control.ts'
import type { WeirError } from '../errors/errors.ts'
import { createMemoryLog } from '../log/memory-log.ts'
import type { Log } from '../log/log.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { World } from '../world/world.ts'
import { Gateway, type GatewayOptions } from './gateway-stage.ts'
import { PLAN } from './testing.ts'

export const OPTIONS: GatewayOptions = {
  plan: PLAN,
  limits: {
    seriesMax: 1000,
    seriesPerDeviceMax: 100,
    textsMax: 100,
    metricsPerMessageMax: 50,
    textBytesMax: 64,
    batchReadingsMax: 1000,
    frameBytesMax: 1 << 20,
    lagBytesMax: 4096,
    deadLettersPerDeviceMax: 100,
  },
  mqtt: {
    packetBytesMax: 4096,
    connectPacketBytesMax: 512,
    connectTimeoutMs: 300,
    connectRateMax: 1000,
    heldMsMax: 500,
    receiveMaximum: 10,
    keepAliveMaxSeconds: 60,
    idleMsMax: 60_000,
    connectionsMax: 100,
    connectionsPerDeviceMax: 3,
  },
  deviceTags: ['device_id'],
  tenant: 'default',
}

/** The real memory log behind a gate that a test opens, or that fails on demand. */
class GatedLog implements Log {
  readonly #log = createMemoryLog()
  isOpen = true
  failure: WeirError | undefined
  #waiting: (() => void)[] = []

  async append(bytes: Uint8Array): Promise<number> {
    if (!this.isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.failure !== undefined) throw this.failure
    return this.#log.append(Uint8Array.from(bytes))
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0
  }

  open(): void {
    this.isOpen = true
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  read(from: number, bytesMax: number, into?: Uint8Array<ArrayBuffer>) {
    return this.#log.read(from, bytesMax, into)
  }

  trim(before: number) {
    return this.#log.trim(before)
  }

  restartAt(offset: number) {
    return this.#log.restartAt(offset)
  }

  close() {
    return this.#log.close()
  }

  get firstOffset() {
    return this.#log.firstOffset
  }

  get nextOffset() {
    return this.#log.nextOffset
  }

  get statistics() {
    return this.#log.statistics
  }
}

export interface Rig {
  gateway: Gateway
  control: SqliteControl
  log: GatedLog
  port: number
  /** Frames handed on, oldest first; `take` gives their room back. */
  frames: Uint8Array<ArrayBuffer>[]
  take(): void
  token(
    id: string,
    options?: { type?: string; parent?: string; isGateway?: boolean },
  ): Promise<string>
}

export interface RigOptions {
  world?: World
  mqtt?: Partial<GatewayOptions['mqtt']>
  /** Over the registry at this path; else one that always knows. */
  openReader?: (path: string) => DeviceReader
  /** What lines may register. */
  register?: (control: SqliteControl, ids: string[]) => Promise<void>
  /** A gateway that is gone, whose log and registry the new one takes over. */
  before?: Rig
}

export async function startRig(t: TestContext, given: RigOptions = {}): Promise<Rig> {
  const { world = nodeWorld, before } = given
  const folder = mkdtempSync(join(tmpdir(), 'weir-gateway-'))
  const path = join(folder, 'control.db')
  const control = before?.control ?? openControl({ path, world: nodeWorld })
  const reader = given.openReader?.(path) ?? control.reader
  const register =
    given.register === undefined ? undefined : (ids: string[]) => given.register!(control, ids)
  const log = before?.log ?? new GatedLog()
  const frames: Uint8Array<ArrayBuffer>[] = []
  const forward = (_: number, frame: Uint8Array<ArrayBuffer>): void => void frames.push(frame)
  const lost = (): void => assert.fail('an entry was lost')
  const parts = { world, log, reader, forward, register }
  const gateway = new Gateway(parts, { ...OPTIONS, mqtt: { ...OPTIONS.mqtt, ...given.mqtt } })
  const own = { log, numbers: control.reader, logEnds: () => {}, lost, restarted: lost }
  await gateway.recover(own, { series: [], texts: [] }, 0)
  const port = await gateway.listen('127.0.0.1', 0)
  t.after(async () => {
    log.open()
    await gateway.stop()
    if (reader !== control.reader) await reader.close()
    if (before === undefined) await control.close()
    rmSync(folder, { recursive: true })
  })
  const take = (): void => {
    for (const frame of frames.splice(0)) gateway.commit.taken(frame.length, undefined)
  }
  const token: Rig['token'] = async (id, options = {}) =>
    (await control.createDevice('default', { id, type: 'generic', ...options })).token
  return { gateway, control, log, port, frames, take, token }
}

/** A bare client: sends what it is told, collects what comes. */
export class Wire {
  readonly socket: Socket
  readonly packets: Packet[] = []
  isClosed = false

  constructor(port: number, protocolVersion: 4 | 5) {
    this.socket = tcpConnect({ host: '127.0.0.1', port, noDelay: true })
    const parser = createParser({ protocolVersion })
    parser.on('packet', (packet: Packet) => this.packets.push(packet))
    this.socket.on('data', (bytes) => parser.parse(bytes))
    this.socket.on('close', () => (this.isClosed = true))
    this.socket.on('error', () => {})
  }

  send(packet: Packet, protocolVersion: 4 | 5): void {
    this.socket.write(generate(packet, { protocolVersion }))
  }
}

/** Waits until `isTrue`, at most 3 s. */
export async function until(isTrue: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + 3000
  while (!isTrue()) {
    if (performance.now() > endMs) assert.fail(`waited in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

export async function connected(rig: Rig, id: string, version: 4 | 5): Promise<Wire> {
  const password = Buffer.from(await rig.token(id))
  const wire = new Wire(rig.port, version)
  wire.send(
    {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clientId: id,
      clean: true,
      keepalive: 30,
      username: id,
      password,
    },
    version,
  )
  await until(() => wire.packets.length === 1, 'CONNACK')
  const connack = wire.packets.shift() as { returnCode?: number; reasonCode?: number }
  assert.equal(connack.reasonCode ?? connack.returnCode, 0)
  return wire
}

export const publish = (id: string, messageId: number, payload: string): Packet => ({
  cmd: 'publish',
  topic: `devices/${id}/telemetry`,
  payload,
  qos: 1,
  dup: false,
  retain: false,
  messageId,
})
