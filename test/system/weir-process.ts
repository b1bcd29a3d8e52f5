/**
 * One real Weir process on a folder of its own, as an operator runs it: started by the command
 * line, addressed through `ports.json` and the credentials file, ended by a signal to its pid. What
 * it prints is kept, and every failure of the harness shows it.
 */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Generous: a start replays the log, and the machine may be busy with other tests. */
const READY_DEADLINE_MS = 60_000
/** Longer than anything here takes: a replay of a whole file on a busy machine. */
const END_DEADLINE_MS = 60_000
const POLL_INTERVAL_MS = 20
const OUTPUT_SHOWN_MAX = 8_000

/** Waits until `condition` gives something else than undefined or false. Throws at the deadline. */
export async function until<T>(
  what: string,
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 10_000,
): Promise<T> {
  const endMs = performance.now() + deadlineMs
  for (;;) {
    const value = await condition()
    if (value !== undefined && value !== false) return value
    if (performance.now() > endMs) throw new Error(`after ${deadlineMs} ms still not: ${what}`)
    await delay(POLL_INTERVAL_MS)
  }
}

/**
 * A temporary folder; after the test (or file) what still works on it is ended, and it is removed.
 * A file calls this at its top: `after` inside of a `before` would run when that hook ends.
 */
export async function makeFolder(context: { after(clean: () => Promise<void>): void }) {
  const folder = await mkdtemp(join(tmpdir(), 'weir-system-'))
  context.after(async () => {
    const users = [...living].filter(({ spawnargs }) => spawnargs.join(' ').includes(folder))
    for (const child of users) child.kill('SIGKILL')
    await until('the processes on the folder end', () => users.every((one) => !living.has(one)))
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  })
  return folder
}

/** Children that live; none may outlive the test's process, however it ends. */
const living = new Set<ChildProcess>()
process.on('exit', () => living.forEach((child) => child.kill('SIGKILL')))

/** A child with its output kept. */
export class Running {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  readonly #ended: Promise<void>

  constructor(command: string, parameters: readonly string[], options: SpawnOptions = {}) {
    this.child = spawn(command, parameters, { stdio: ['pipe', 'pipe', 'pipe'], ...options })
    living.add(this.child)
    this.child.stdout?.on('data', (bytes) => (this.stdout += String(bytes)))
    this.child.stderr?.on('data', (bytes) => (this.stderr += String(bytes)))
    const closed = Promise.withResolvers<void>()
    this.#ended = closed.promise
    // A program that cannot be started has an error and no exit code.
    this.child.on('error', (error) => (this.stderr += String(error)))
    this.child.on('close', () => {
      living.delete(this.child)
      closed.resolve()
    })
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  get output(): string {
    return `stdout:\n${this.stdout.slice(-OUTPUT_SHOWN_MAX)}\nstderr:\n${this.stderr.slice(-OUTPUT_SHOWN_MAX)}`
  }

  /** The exit code once it has ended; null when a signal ended it. Throws when it does not end. */
  async end(): Promise<number | null> {
    let isOver = false
    void this.#ended.then(() => (isOver = true))
    try {
      await until('the process ends', () => isOver, END_DEADLINE_MS)
    } catch (error) {
      this.child.kill('SIGKILL')
      throw new Error(`${this.child.spawnargs.join(' ')}\n${this.output}`, { cause: error })
    }
    return this.child.exitCode
  }

  /** Sends the signal and waits for the end. */
  async signal(signal: NodeJS.Signals): Promise<number | null> {
    if (!this.hasEnded) this.child.kill(signal)
    return this.end()
  }
}

/** Runs a program to its end. */
export async function run(
  command: string,
  parameters: readonly string[],
  options: SpawnOptions & { input?: string } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const running = new Running(command, parameters, options)
  running.child.stdin?.end(options.input)
  const code = await running.end()
  return { code, stdout: running.stdout, stderr: running.stderr }
}

/** The program and its first parameters: the sources under this very Node. */
const FROM_SOURCE: readonly string[] = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  join(ROOT, 'src/cli/weir.ts'),
]

/** `weir PARAMETERS` from the sources. */
export function weir(parameters: readonly string[], environment: NodeJS.ProcessEnv = {}): Running {
  const [program = '', ...first] = FROM_SOURCE
  return new Running(program, [...first, ...parameters], {
    env: { ...process.env, ...environment },
  })
}

export interface StartOptions {
  /** The data folder's parent; data is in `data`, the key in `key.json`. */
  folder: string
  /** Text of a pipeline definition. */
  pipeline?: string
  /** Text of a configuration. */
  config?: string
  /** Another Weir than the sources: program and first parameters. */
  command?: readonly string[]
  /** On a cluster: what this process does. */
  role?: string
  /** For the child. */
  options?: SpawnOptions
  environment?: NodeJS.ProcessEnv
}

/** Starts the process and does not wait for it. */
export async function spawnWeir(how: StartOptions): Promise<Running> {
  const { folder, pipeline, config, role, command = FROM_SOURCE, options, environment } = how
  const ports = ['--http-port', '0', '--mqtt-port', '0', '--coap-port', '0']
  const parameters = ['start', '--data', join(folder, 'data'), ...ports]
  parameters.push('--write-credentials', join(folder, 'key.json'))
  if (role !== undefined) parameters.push('--role', role)
  if (pipeline !== undefined) {
    await writeFile(join(folder, 'pipeline.yaml'), pipeline)
    parameters.push('--pipeline', join(folder, 'pipeline.yaml'))
  }
  if (config !== undefined) {
    await writeFile(join(folder, 'config.yaml'), config)
    parameters.push('--config', join(folder, 'config.yaml'))
  }
  const [program = '', ...first] = command
  const env = { ...process.env, ...environment }
  return new Running(program, [...first, ...parameters], { env, ...options })
}

/** Body and status of an answer. */
export interface Answer<Body = Record<string, unknown>> {
  status: number
  headers: Headers
  text: string
  body: Body
}

export interface Request {
  method?: string
  /** A text goes as it is, anything else as JSON. */
  body?: unknown
  /** Instead of the admin key. */
  token?: string
  headers?: Record<string, string>
}

export interface Episode {
  id: string
  rule_id: string
  state: 'firing' | 'resolved'
  triggered_at: number
  resolved_at: number | null
}

interface HistoryEntry {
  at: number
  what: string
  episode_id?: string
}

/** A process that said it is ready. */
export class WeirProcess {
  readonly running: Running
  readonly dataFolder: string
  readonly http: number
  readonly mqtt: number
  readonly adminKey: string

  private constructor(
    running: Running,
    of: { dataFolder: string; http: number; mqtt: number; adminKey: string },
  ) {
    this.running = running
    this.dataFolder = of.dataFolder
    this.http = of.http
    this.mqtt = of.mqtt
    this.adminKey = of.adminKey
  }

  /** Ready, and queries tell everything that was acknowledged before. */
  static async start(options: StartOptions): Promise<WeirProcess> {
    const weir = await WeirProcess.ready(await spawnWeir(options), options.folder)
    await until('queries are complete', async () => (await weir.completeness()) === 1, 60_000)
    return weir
  }

  /** Waits for `GET /ready` to be 200. Throws with the process's output when it ends before. */
  static async ready(running: Running, folder: string): Promise<WeirProcess> {
    const dataFolder = join(folder, 'data')
    try {
      // After a kill the file of the last process is still there; the pid tells.
      const ports = await until(
        'ports.json of this process',
        async () => {
          assert.ok(!running.hasEnded, 'weir ended')
          const known = await readPorts(dataFolder)
          return known?.pid === running.child.pid && known
        },
        READY_DEADLINE_MS,
      )
      const { adminKey } = JSON.parse(await readFile(join(folder, 'key.json'), 'utf8')) as {
        adminKey: string
      }
      const ready = new WeirProcess(running, { dataFolder, ...ports, adminKey })
      await until('ready', async () => (await ready.api('/ready')).status === 200)
      return ready
    } catch (error) {
      await running.signal('SIGKILL')
      throw new Error(`weir did not become ready\n${running.output}`, { cause: error })
    }
  }

  get url(): string {
    return `http://127.0.0.1:${this.http}`
  }

  /** One request with the admin key, or another credential. Any status is an answer. */
  async api<Body = Record<string, unknown>>(
    path: string,
    { method, body, token = this.adminKey, headers = {} }: Request = {},
  ): Promise<Answer<Body>> {
    const isText = typeof body === 'string' || body instanceof Uint8Array
    const answer = await fetch(this.url + path, {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: isText ? (body as BodyInit) : JSON.stringify(body) }),
    })
    const text = await answer.text()
    const isJson = answer.headers.get('content-type')?.includes('json') === true
    const parsed = (isJson ? JSON.parse(text) : undefined) as Body
    return { status: answer.status, headers: answer.headers, text, body: parsed }
  }

  /** A GET that must be 200. */
  async get<Body>(path: string, parameters: Record<string, string | number> = {}): Promise<Body> {
    const query = new URLSearchParams(
      Object.entries(parameters).map(([name, value]) => [name, String(value)]),
    )
    const answer = await this.api<Body>(query.size > 0 ? `${path}?${query}` : path)
    assert.equal(answer.status, 200, `GET ${path}?${query}: ${answer.text}\n${this.running.output}`)
    return answer.body
  }

  /** Registers a device; returns its token. */
  async register(device: {
    id: string
    type?: string
    parent?: string
    gateway?: boolean
    tags?: Record<string, string>
  }): Promise<string> {
    const answer = await this.api<{ token: string }>('/v1/devices', {
      body: { type: 'generic', ...device },
    })
    assert.equal(answer.status, 201, answer.text)
    return answer.body.token
  }

  /** `[ms, value]` of one metric; all of it unless told otherwise. */
  async points(
    device: string,
    metric: string,
    parameters: Record<string, string | number> = {},
  ): Promise<[number, number | boolean | string][]> {
    const span = { start: 0, end: '2100-01-01T00:00:00Z' }
    const question = { device_id: device, metric, ...span, ...parameters }
    const { points } = await this.get<{ points: [number, number | boolean | string][] }>(
      '/v1/query',
      question,
    )
    return points
  }

  /** What rules said of a device, one by one: an alert may be several of them. */
  async episodes(device_id: string): Promise<Episode[]> {
    const { alerts } = await this.get<{ alerts: { id: string; rule_id: string }[] }>('/v1/alerts', {
      ...{ device_id, limit: 1000 },
    })
    const all = alerts.map(async ({ id, rule_id }) => {
      const { history } = await this.get<{ history: HistoryEntry[] }>(`/v1/alerts/${id}`)
      const ends = new Map<string | undefined, number>()
      for (const { what, episode_id, at } of history) {
        if (what === 'resolved') ends.set(episode_id, at)
      }
      return history
        .filter(({ what }) => what === 'fired' || what === 'reopened')
        .map(({ at, episode_id = '' }): Episode => {
          const resolved_at = ends.get(episode_id) ?? null
          const state = resolved_at === null ? 'firing' : 'resolved'
          return { id: episode_id, rule_id, state, triggered_at: at, resolved_at }
        })
    })
    return (await Promise.all(all)).flat()
  }

  /** Below 1 while the log is replayed. */
  async completeness(): Promise<number> {
    const { meta } = await this.get<{ meta: { completeness: number } }>('/v1/anomalies', {
      limit: 1,
    })
    return meta.completeness
  }

  /** One sample of `/metrics` without labels; NaN when there is none. */
  async metric(name: string): Promise<number> {
    const { text } = await this.api('/metrics')
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN)
  }

  /** SIGTERM; returns exit code and how long it took. */
  async stop(): Promise<{ code: number | null; tookMs: number }> {
    const startMs = performance.now()
    const code = await this.running.signal('SIGTERM')
    return { code, tookMs: performance.now() - startMs }
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    await this.running.signal('SIGKILL')
  }
}

/** What `ports.json` says, or undefined while there is none (or half of one). */
export async function readPorts(
  dataFolder: string,
): Promise<{ pid: number; http: number; mqtt: number } | undefined> {
  try {
    return JSON.parse(await readFile(join(dataFolder, 'ports.json'), 'utf8'))
  } catch {
    return undefined
  }
}

/** Why a test of this program cannot run here, or false when it can. */
export async function missingTool(name: string): Promise<string | false> {
  const found = await run('sh', ['-c', `command -v ${name}`])
  return found.code === 0 ? false : `${name} is not installed`
}
