/**
 * A light client beside the load: what people and scripts ask of a server, one call after the
 * other, timed by kind.
 */
import { Histogram } from './histogram.ts'
import type { WeirServer } from './weir-server.ts'

/** Between two calls. */
const PAUSE_MS = 20

export interface ControlFigures {
  /** By kind of call. */
  latency: Map<string, Histogram>
  /** Readings that were acknowledged, of those posted. */
  readingsAccepted: number
  /** Posts that were refused with 503 and Retry-After. */
  postsRefused: number
}

type Call = (turn: number) => Promise<void>

export class ControlCalls {
  readonly #server: WeirServer
  readonly #figures: ControlFigures = {
    latency: new Map(),
    readingsAccepted: 0,
    postsRefused: 0,
  }
  readonly #running: Promise<void>
  #isStopping = false

  /** `device` is asked about; `prefix` begins the ids of devices that are registered. */
  constructor(server: WeirServer, { device, prefix }: { device: string; prefix: string }) {
    this.#server = server
    const calls: Record<string, Call> = {
      'GET /v1/devices/{id}': () => this.#expect(200, 'GET', `/v1/devices/${device}`),
      'POST /v1/devices': (turn) =>
        this.#expect(201, 'POST', '/v1/devices', { id: `${prefix}-${turn}`, type: 'generic' }),
      'GET /ready': () => this.#expect(200, 'GET', '/ready'),
      'GET /v1/query': () => this.#expect(200, 'GET', queryOf(device)),
      'POST /v1/telemetry': () => this.#post(device),
    }
    for (const name of Object.keys(calls)) this.#figures.latency.set(name, new Histogram())
    this.#running = this.#run(calls)
    // Looked at by stop(); until then a failure is no unhandled one.
    this.#running.catch(() => {})
  }

  /** Rejects with what a call was answered that it should not have been. */
  async stop(): Promise<ControlFigures> {
    this.#isStopping = true
    await this.#running
    return this.#figures
  }

  async #run(calls: Record<string, Call>): Promise<void> {
    for (let turn = 0; !this.#isStopping; turn++) {
      for (const [name, call] of Object.entries(calls)) {
        const startMs = performance.now()
        await call(turn)
        this.#figures.latency.get(name)?.add(performance.now() - startMs)
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
      }
    }
  }

  async #expect(wanted: number, method: string, path: string, json?: unknown): Promise<void> {
    const { status, body } = await this.#server.call(method, path, json)
    if (status !== wanted) throw new Error(`${method} ${path} answered ${status}: ${body}`)
  }

  /** A batch may be refused while senders are slowed down; it says when to try again. */
  async #post(device: string): Promise<void> {
    const ts = Date.now()
    const messages = [{ ts, metrics: { temperature: 20, pressure: 1000, vibration: 1 } }]
    const path = `/v1/devices/${device}/telemetry`
    const { status, body, headers } = await this.#server.call('POST', path, messages)
    if (status === 200) this.#figures.readingsAccepted += 3
    else if (status === 503 && headers['retry-after'] !== undefined) this.#figures.postsRefused++
    else throw new Error(`POST ${path} answered ${status}: ${body}`)
  }
}

/** The last ten seconds of one metric. */
function queryOf(device: string): string {
  const nowMs = Date.now()
  const span = `start=${nowMs - 10_000}&end=${nowMs + 1}`
  return `/v1/query?device_id=${device}&metric=temperature&${span}`
}
