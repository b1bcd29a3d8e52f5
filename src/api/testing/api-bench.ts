/** Starts the API on loopback over the memory pipeline and the real control store, for tests. */
import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRecipients, openSilences } from '../../alerts/books.ts'
import { openAlerts } from '../../alerts/open-alerts.ts'
import { openRuleBook } from '../../alerts/rule-book.ts'
import { MemoryRuleLog } from '../../alerts/rule-log-fixture.ts'
import type { ControlDatabase, NewDevice } from '../../control/control.ts'
import { createMemorySignIns } from '../../control/memory-sign-ins.ts'
import { openControl } from '../../control/sqlite-control.ts'
import { compileRule, defaultPlan } from '../../pipeline/compile.ts'
import type { Plan, RuleDefinition } from '../../pipeline/pipeline.ts'
import type { Clock } from '../../world/world.ts'
import { nodeWorld } from '../../world/node-world.ts'
import { createApi, type ApiOptions } from '../server.ts'
import { Conformance, type OpenApiDocument } from './conformance.ts'
import { MemoryBacktests } from './memory-backtests.ts'
import { MemoryErasures } from './memory-erasures.ts'
import { MemorySql } from './memory-sql.ts'
import { MemoryStorage } from './memory-storage.ts'
import { MemoryPipeline } from './memory-pipeline.ts'

export interface Reply {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  /** The body as JSON; undefined when it is none. */
  json: any
}

export interface CallOptions {
  key?: string | undefined
  headers?: Record<string, string>
  body?: string | Uint8Array | object
}

/** A clock whose time passes only by `advance`, so that hours pass in no time. */
export class ManualClock implements Clock {
  #nowMs = Date.UTC(2026, 0, 2)
  readonly #timers = new Set<{ atMs: number; everyMs: number | undefined; callback: () => void }>()

  nowUs(): number {
    return this.#nowMs * 1000
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#add({ atMs: this.#nowMs + delayMs, everyMs: undefined, callback })
  }

  every(intervalMs: number, callback: () => void): () => void {
    return this.#add({ atMs: this.#nowMs + intervalMs, everyMs: intervalMs, callback })
  }

  soon(callback: () => void): void {
    setImmediate(callback)
  }

  advance(ms: number): void {
    this.#nowMs += ms
    for (const timer of this.#timers) {
      if (timer.atMs > this.#nowMs) continue
      if (timer.everyMs === undefined) this.#timers.delete(timer)
      else timer.atMs = this.#nowMs + timer.everyMs
      timer.callback()
    }
  }

  #add(timer: { atMs: number; everyMs: number | undefined; callback: () => void }): () => void {
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }
}

const metric = (name: string) => ({
  name,
  type: 'number' as const,
  unit: '°C',
  min: -40,
  max: 150,
  isRequired: false,
  isCritical: false,
  values: undefined,
})

export const TEST_PLAN: Plan = {
  version: 1,
  fingerprint: '0000000000000000',
  types: {
    pump: {
      name: 'pump',
      isStrict: true,
      dimensions: [],
      timeSource: 'event',
      schemas: [{ version: 1, isActive: true, metrics: [metric('temperature'), metric('flow')] }],
    },
  },
  time: {
    disorderUs: 10e6,
    futureUs: 5e6,
    pastUs: 8 * 86400e6,
    allowedLatenessUs: 3600e6,
    idleTimeoutUs: 60e6,
    alertStalenessUs: 300e6,
  },
  windowsMs: [60_000, 300_000],
  detectors: [],
  retention: defaultPlan().retention,
  rules: [],
  ruleDefinitions: [],
}

const TEST_RULES: RuleDefinition[] = [
  { id: 'hot', type: 'pump', when: 'temperature > 80', severity: 'critical' },
]

const DAY_US = 86_400_000_000

/** The real ones, on the registry's database; rules go no further than a log in memory. */
function openTestAlerts(database: ControlDatabase, clock: Clock) {
  const ruleLog = new MemoryRuleLog()
  const rules = openRuleBook({
    ...{ database, clock, publisher: ruleLog, ofDefinition: TEST_RULES },
    compile: (definition) => compileRule(definition, TEST_PLAN),
  })
  const opened = openAlerts({
    ...{ database, world: { ...nodeWorld, clock }, rules },
    recipients: openRecipients({ database, clock, endpoint: { allowPrivate: true } }),
    silences: openSilences({ database, clock }),
    options: {
      ...{ publicUrl: 'http://127.0.0.1', retentionUs: 90 * DAY_US, allowPrivateWebhooks: true },
    },
    parentOf: async () => undefined,
  })
  return { opened, ruleLog }
}

export async function startBench(options: ApiOptions = {}, { hasAlerts = true } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'weir-api-'))
  const clock = new ManualClock()
  const control = openControl({ path: join(folder, 'control.db'), world: { ...nodeWorld, clock } })
  const pipeline = new MemoryPipeline(control.reader, clock)
  const backtests = new MemoryBacktests(TEST_PLAN)
  const storage = new MemoryStorage()
  const sql = new MemorySql()
  const erasures = new MemoryErasures()
  const unready: string[] = []
  const { opened, ruleLog } = openTestAlerts(control.database, clock)
  opened.start()
  pipeline.feed = opened.feed
  const api = await createApi(
    {
      control,
      alerts: hasAlerts ? opened.alerts : undefined,
      telemetry: pipeline,
      query: pipeline,
      live: pipeline,
      backtests,
      storage,
      sql,
      erasures,
      plan: TEST_PLAN,
      clock,
      signIns: createMemorySignIns({ ...nodeWorld, clock }),
      metrics: async () => [
        { name: 'weir_log_entries_total', help: 'Entries.', type: 'counter', labels: {}, value: 7 },
      ],
      unready: () => unready,
    },
    options,
  )
  const port = await api.listen('127.0.0.1', 0)
  const admin = await control.createAdminKey()
  const document = (await call(port, 'GET /openapi.json')).json as OpenApiDocument
  const conformance = new Conformance(document)
  return {
    api,
    clock,
    control,
    pipeline,
    backtests,
    storage,
    sql,
    erasures,
    port,
    admin,
    unready,
    document,
    ruleLog,
    feed: opened.feed,
    /** Every answer is held against the document, so that no test needs to. */
    async call(target: string, how: CallOptions = {}) {
      const reply = await call(port, target, how)
      conformance.check(target, reply)
      return reply
    },
    async createDevice(id: string, more: Partial<NewDevice> = {}): Promise<string> {
      const { token } = await control.createDevice('default', { id, type: 'generic', ...more })
      return token
    },
    async close() {
      await api.close()
      await opened.stop()
      await control.close()
      rmSync(folder, { recursive: true })
    },
  }
}

/** Sends `METHOD /path`; an object as body goes as JSON. The path is sent as it is written. */
export async function call(port: number, target: string, how: CallOptions = {}): Promise<Reply> {
  const incoming = await open(port, target, how)
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString('utf8')
  const isJson = /[/+]json/.test(incoming.headers['content-type'] ?? '')
  const { statusCode: status = 0, headers } = incoming
  return { status, headers, text, json: isJson && text !== '' ? JSON.parse(text) : undefined }
}

/** The answer with its body still to come. */
export function open(port: number, target: string, how: CallOptions = {}) {
  const [method = '', path = ''] = target.split(/ (.*)/s)
  const isPlain = typeof how.body === 'string' || how.body instanceof Uint8Array
  const body = how.body === undefined || isPlain ? how.body : JSON.stringify(how.body)
  const headers: Record<string, string | number> = {
    connection: 'close',
    ...(body === undefined
      ? {}
      : {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body as string | Uint8Array),
        }),
    ...(how.key === undefined ? {} : { authorization: `Bearer ${how.key}` }),
    ...how.headers,
  }
  return new Promise<IncomingMessage>((resolve, reject) => {
    const request = httpRequest({ port, host: '127.0.0.1', method, path, headers }, resolve)
    request.on('error', reject)
    request.end(body)
  })
}
