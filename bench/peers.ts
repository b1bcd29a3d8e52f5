/**
 * What Weir is measured beside, in the same run: a sink that only acknowledges, a loop that only
 * parses, and two brokers that relay and keep nothing. A peer that is not installed is absent.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generate, stopChild } from './generate.ts'
import type { LoadClient, LoadJob, LoadReport } from './load.ts'

export interface Peer {
  name: string
  version: string
  port: number
  pid: number
  stop(): Promise<void>
}

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** Gateways that no server knows: the peers let everyone in. */
export function anonymousClients(gateways: number, devices: number): LoadClient[] {
  const width = String(devices).length
  return Array.from({ length: gateways }, (_, g) => ({
    name: `gateway-${g}`,
    secret: 'none',
    devices: Array.from(
      { length: devices / gateways },
      (_, i) => `d${String(i * gateways + g).padStart(width, '0')}`,
    ),
  }))
}

/** Puts the peer under a load, and stops it. */
export async function loadPeer(peer: Peer, job: Omit<LoadJob, 'port'>): Promise<LoadReport> {
  try {
    return await generate({ ...job, port: peer.port })
  } finally {
    await peer.stop()
  }
}

/** A server of ours that prints `port N`. */
async function startScript(name: string, version: string, file: string): Promise<Peer> {
  const child = spawn(process.execPath, [script(file)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (bytes: Buffer) => resolve(Number(bytes.toString().split(' ')[1])))
    child.once('exit', () => reject(new Error(`${file} ended`)))
  })
  return { name, version, port, pid: child.pid ?? 0, stop: () => stopChild(child) }
}

export const startSink = (): Promise<Peer> =>
  startScript('sink', 'reads and acknowledges', './sink.ts')

export async function startAedes(): Promise<Peer | undefined> {
  const manifest = script('../node_modules/aedes/package.json')
  if (!existsSync(manifest)) return undefined
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
  return startScript('aedes', version, './aedes-server.ts')
}

/** Debian puts it where only root's path looks. */
const MOSQUITTO_PATHS = ['mosquitto', '/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto']

/** No persistence, no log, queues that never are the limit. */
const mosquittoConfig = (port: number): string => `listener ${port} 127.0.0.1
allow_anonymous true
persistence false
log_type none
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
max_queued_bytes 0
`

export async function startMosquitto(): Promise<Peer | undefined> {
  const binary = MOSQUITTO_PATHS.find((path) => spawnSync(path, ['-h']).error === undefined)
  if (binary === undefined) return undefined
  const help = spawnSync(binary, ['-h']).stdout.toString()
  const version = /version (\S+)/.exec(help)?.[1] ?? 'unknown'
  const folder = mkdtempSync(join(tmpdir(), 'weir-mosquitto-'))
  const port = await freePort()
  const config = join(folder, 'mosquitto.conf')
  writeFileSync(config, mosquittoConfig(port))
  const child = spawn(binary, ['-c', config], { stdio: 'ignore' })
  const stop = async (): Promise<void> => {
    await stopChild(child)
    rmSync(folder, { recursive: true, force: true })
  }
  if (!(await listens(port, child))) {
    await stop()
    return undefined
  }
  return { name: 'Mosquitto', version, port, pid: child.pid ?? 0, stop }
}

/** A port of loopback that nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

async function listens(port: number, child: ChildProcess): Promise<boolean> {
  for (let attempt = 0; attempt < 100 && child.exitCode === null; attempt++) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port })
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (isOpen) return true
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return false
}

/** Messages a second that one thread parses with JSON.parse and does nothing else with. */
export function measureParsing(seconds: number, messagesPerBody = 1): number {
  const message =
    '{"ts":1700000000000,"metrics":{"temperature":21.50,"pressure":1013.25,"vibration":0.4000}}'
  const messages = Array.from({ length: messagesPerBody }, () => message)
  const body = Buffer.from(messagesPerBody === 1 ? message : `[${messages.join()}]`)
  const digitAt = body.indexOf('1700000000000') + 11
  const endMs = performance.now() + seconds * 1000
  const startMs = performance.now()
  let count = 0
  let parsed: unknown
  while (performance.now() < endMs) {
    for (let i = 0; i < 1000 / messagesPerBody; i++) {
      // Never twice the same text.
      body[digitAt] = 48 + (i % 10)
      parsed = JSON.parse(body.toString('latin1'))
      count += messagesPerBody
    }
  }
  if (typeof parsed !== 'object') throw new Error('parsed nonsense')
  return (count * 1000) / (performance.now() - startMs)
}
