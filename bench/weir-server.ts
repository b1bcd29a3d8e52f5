/** A real Weir for a benchmark: `weir start` as a process on a fresh data folder. */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stopChild } from './generate.ts'
import type { LoadClient } from './load.ts'

const WEIR = fileURLToPath(new URL('../src/cli/weir.ts', import.meta.url))
const PIPELINE = fileURLToPath(new URL('./bench.pipeline.yaml', import.meta.url))
const READY_MS_MAX = 30_000
/** For the flush of everything that is in memory. */
const HALT_MS_MAX = 60_000
/** Parallel registrations. */
const PARALLEL = 200

export interface Fleet {
  clients: LoadClient[]
  seconds: number
}

export interface ServerOptions {
  pipeline?: string
  /** Text of a configuration file; else the defaults. */
  config?: string
  /** Of a cluster; else everything in one process. */
  role?: string
  /** Settings as WEIR_* variables. */
  env?: Record<string, string>
}

export interface NewDevice {
  id: string
  type: string
  parent?: string
  gateway?: boolean
}

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

interface Launched {
  options: ServerOptions
  child: ChildProcess
  folder: string
  startMs: number
  readyMs: number
}

export class WeirServer {
  readonly httpPort: number
  readonly mqttPort: number
  readonly adminKey: string
  /** When the process was started, by performance.now(). */
  readonly startMs: number
  /** From the start of the process to the first 200 of /ready, ms. */
  readonly readyMs: number
  readonly pid: number
  readonly #child: ChildProcess
  readonly #folder: string
  readonly #options: ServerOptions
  readonly #agent = new Agent({ keepAlive: true, maxSockets: PARALLEL })

  private constructor({ options, child, folder, startMs, readyMs }: Launched) {
    const ports = JSON.parse(readFileSync(join(folder, 'data', 'ports.json'), 'utf8')) as {
      http: number
      mqtt: number
    }
    const credentials = JSON.parse(readFileSync(join(folder, 'admin.json'), 'utf8')) as {
      adminKey: string
    }
    this.#child = child
    this.#folder = folder
    this.#options = options
    this.startMs = startMs
    this.readyMs = readyMs
    this.httpPort = ports.http
    this.mqttPort = ports.mqtt
    this.adminKey = credentials.adminKey
    this.pid = child.pid ?? 0
  }

  /** `WEIR_BENCH_FOLDER` on a disk, not in memory: an acknowledgement waits for it. */
  static async start(options: ServerOptions = {}): Promise<WeirServer> {
    const folder = mkdtempSync(join(process.env['WEIR_BENCH_FOLDER'] ?? tmpdir(), 'weir-bench-'))
    writeFileSync(join(folder, 'config.yaml'), options.config ?? '')
    return new WeirServer(await launch(folder, options))
  }

  get dataFolder(): string {
    return join(this.#folder, 'data')
  }

  /** Ends the process, which flushes everything; the data folder stays until stop(). */
  async halt(): Promise<void> {
    this.#agent.destroy()
    await stopChild(this.#child, HALT_MS_MAX)
  }

  async stop(): Promise<void> {
    await this.halt()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** `kill -9`; the data folder stays. */
  async kill(): Promise<void> {
    this.#agent.destroy()
    const exited = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()))
    this.#child.kill('SIGKILL')
    await exited
  }

  /** A new process on the folder of this one, which must be dead. */
  async restart(changes: ServerOptions = {}): Promise<WeirServer> {
    return new WeirServer(await launch(this.#folder, { ...this.#options, ...changes }))
  }

  /** Gateways with devices behind them, registered through the public API. */
  async registerFleet(
    gateways: number,
    devices: number,
    { type = 'sensor', prefix = '' } = {},
  ): Promise<Fleet> {
    const startMs = performance.now()
    const width = String(devices).length
    const names = Array.from({ length: gateways }, (_, g) => `${prefix}gateway-${g}`)
    const tokens = await this.register(names.map((id) => ({ id, type: 'generic', gateway: true })))
    const clients = names.map((name, g): LoadClient => {
      const own = Array.from({ length: devices / gateways }, (_, i) => i * gateways + g)
      const ids = own.map((n) => `${prefix}d${String(n).padStart(width, '0')}`)
      return { name, secret: tokens[g] ?? '', devices: ids }
    })
    await this.register(
      clients.flatMap(({ name, devices: ids }) => ids.map((id) => ({ id, type, parent: name }))),
    )
    return { clients, seconds: (performance.now() - startMs) / 1000 }
  }

  /** Tokens in the order of the devices. */
  async register(devices: NewDevice[]): Promise<string[]> {
    const tokens: string[] = []
    let next = 0
    const work = async (): Promise<void> => {
      for (let i = next++; i < devices.length; i = next++) {
        const { status, body } = await this.call('POST', '/v1/devices', devices[i])
        if (status !== 201) throw new Error(`registration answered ${status}: ${body}`)
        tokens[i] = (JSON.parse(body) as { token: string }).token
      }
    }
    await Promise.all(Array.from({ length: PARALLEL }, work))
    return tokens
  }

  call(method: string, path: string, json?: unknown): Promise<Answer> {
    return this.send(method, path, json === undefined ? undefined : JSON.stringify(json))
  }

  /** `body` is JSON. */
  send(method: string, path: string, body: string | undefined): Promise<Answer> {
    const headers: OutgoingHttpHeaders = { authorization: `Bearer ${this.adminKey}` }
    if (body !== undefined) {
      headers['content-type'] = 'application/json'
      headers['content-length'] = String(Buffer.byteLength(body))
    }
    return new Promise((resolve, reject) => {
      const options = { port: this.httpPort, method, path, headers, agent: this.#agent }
      const outgoing = request({ host: '127.0.0.1', ...options }, (response) => {
        const pieces: Buffer[] = []
        response.on('data', (piece: Buffer) => pieces.push(piece))
        response.on('end', () => {
          const { statusCode: status = 0, headers } = response
          resolve({ status, headers, body: Buffer.concat(pieces).toString() })
        })
        response.on('error', reject)
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  }

  /** All samples of /metrics, summed over their labels. */
  async metrics(): Promise<Map<string, number>> {
    const { status, body } = await this.call('GET', '/metrics')
    if (status !== 200) throw new Error(`/metrics answered ${status}`)
    const samples = new Map<string, number>()
    for (const line of body.split('\n')) {
      const match = /^([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)/.exec(line)
      if (match?.[1] === undefined) continue
      samples.set(match[1], (samples.get(match[1]) ?? 0) + Number(match[2]))
    }
    return samples
  }

  /** Waits until storage took in `readings` since the start of the process. */
  async untilStored(readings: number, msMax: number): Promise<number> {
    const startMs = performance.now()
    for (;;) {
      const stored = (await this.metrics()).get('weir_storage_readings_total') ?? 0
      if (stored >= readings || performance.now() - startMs > msMax) return stored
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Waits until no segment waits to be merged. */
  untilMerged(msMax: number): Promise<void> {
    return this.#untilNone('weir_storage_merge_debt_segments', msMax)
  }

  /** Waits until every reading is in a segment. */
  untilInSegments(msMax: number): Promise<void> {
    return this.#untilNone('weir_storage_readings_in_memory', msMax)
  }

  async #untilNone(metric: string, msMax: number): Promise<void> {
    const startMs = performance.now()
    for (;;) {
      const left = (await this.metrics()).get(metric) ?? NaN
      if (left === 0) return
      if (performance.now() - startMs > msMax) throw new Error(`${metric} stays at ${left}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

async function launch(folder: string, options: ServerOptions): Promise<Launched> {
  const { pipeline = PIPELINE, env = {}, role } = options
  const startMs = performance.now()
  const log = openSync(join(folder, 'weir.log'), 'w')
  const child = spawn(
    process.execPath,
    [
      ...['--single-threaded-gc', '--disable-warning=ExperimentalWarning', WEIR, 'start'],
      ...['--data', join(folder, 'data'), '--pipeline', pipeline],
      ...['--config', join(folder, 'config.yaml')],
      ...['--http-port', '0', '--mqtt-port', '0', '--coap-port', '0'],
      ...['--write-credentials', join(folder, 'admin.json')],
      ...(role === undefined ? [] : ['--role', role]),
    ],
    { stdio: ['ignore', 'ignore', log], env: { ...process.env, ...env } },
  )
  closeSync(log)
  try {
    await waitReady(child, join(folder, 'data', 'ports.json'), startMs)
  } catch (error) {
    await stopChild(child)
    console.error(readFileSync(join(folder, 'weir.log'), 'utf8'))
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
  return { options, child, folder, startMs, readyMs: performance.now() - startMs }
}

async function waitReady(child: ChildProcess, portsFile: string, startMs: number): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`weir start ended with ${child.exitCode}`)
    if (performance.now() - startMs > READY_MS_MAX) throw new Error('weir start is not ready')
    try {
      const { pid, http } = JSON.parse(readFileSync(portsFile, 'utf8')) as {
        pid: number
        http: number
      }
      // The file of a killed process is still there; its port may be another's by now.
      const isOurs = pid === child.pid
      if (isOurs && (await fetch(`http://127.0.0.1:${http}/ready`)).status === 200) return
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
