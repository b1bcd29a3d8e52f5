/**
 * What the data folders of this test hold, and every question that is asked of them. The content is
 * the same whenever a folder is made; only what the server stamps differs.
 */
import assert from 'node:assert/strict'
import type { WeirProcess } from '../system/weir-process.ts'

/** The clock of the server that a folder is made with. */
export const MADE_AT = '2026-01-01 12:00:00'
const BEGIN_MS = Date.parse('2026-01-01T11:30:00Z')

export const PIPELINE = `
version: 1
types:
  pump:
    schemas:
      1:
        temperature: { unit: "°C", min: -40, max: 150 }
        running: { type: boolean, required: false }
        mode: { type: text, required: false }
time: { disorder: 10s, allowedLateness: 10m, alertStaleness: 1d, idleTimeout: 1h }
windows: [1m, 5m]
detectors: [{ id: spike, type: pump, metric: temperature, zscore: { n: 16, threshold: 4 } }]
rules: [{ id: hot, type: pump, when: "temperature > 80", severity: critical }]
`

/** Commits, one after the other; the last of them stays in the log's tail. */
export const CHAPTERS = [0, 1, 2, 3]
const MINUTES_PER_CHAPTER = 4
const STEP_MS = 10_000

const DEVICES = ['pump-1', 'pump-2', 'räum-3']
const QUESTIONS: [device: string, metric: string][] = [
  ...DEVICES.flatMap((id): [string, string][] => [
    [id, 'temperature'],
    [id, 'running'],
    [id, 'mode'],
  ]),
  ['host-1', 'cpu_load'],
]

export async function register(weir: WeirProcess): Promise<void> {
  await weir.register({ id: 'gate', gateway: true })
  for (const id of DEVICES) {
    await weir.register({ id, type: 'pump', ...(id === 'pump-2' ? { parent: 'gate' } : {}) })
  }
  await weir.register({ id: 'host-1' })
}

/** Sends one chapter: in order, late, repeated, broken, and by line protocol. */
export async function sendChapter(weir: WeirProcess, chapter: number): Promise<void> {
  const fromMs = BEGIN_MS + chapter * MINUTES_PER_CHAPTER * 60_000
  const count = (MINUTES_PER_CHAPTER * 60_000) / STEP_MS
  for (const [nth, device] of DEVICES.entries()) {
    const messages = Array.from({ length: count }, (_, at) => ({
      ts: fromMs + at * STEP_MS + nth,
      metrics: {
        temperature: temperatureOf(chapter, at, nth),
        running: (at + nth) % 5 !== 0,
        mode: ['idle', 'ramp', 'full', `chapter ${chapter}`][at % 4],
      },
    }))
    const late = { ts: fromMs - 45_000 + nth, metrics: { temperature: 30 + chapter } }
    const repeat = { ...messages[3]!, metrics: { temperature: 99 } }
    await post(weir, device, [...messages, late, repeat])
  }
  const broken = await weir.api('/v1/devices/pump-1/telemetry', {
    body: { temperature: 1000 + chapter },
  })
  assert.equal(broken.status, 422)
  const lines = Array.from({ length: count }, (_, at) => {
    const ns = `${fromMs + at * STEP_MS}000000`
    return `cpu,device_id=host-1,core=${at % 2} cpu_load=${at / 8 + chapter} ${ns}`
  })
  const answer = await weir.api('/api/v2/write?precision=ns', {
    ...{ method: 'POST', body: lines.join('\n'), headers: { 'content-type': 'text/plain' } },
  })
  assert.equal(answer.status, 204, answer.text)
}

/** Calm, with an episode of the rule in each chapter, and a spike in the first. */
function temperatureOf(chapter: number, at: number, nth: number): number {
  if (at >= 8 && at < 11 && nth === chapter % 3) return 85 + at / 4
  if (chapter === 0 && at === 20 && nth === 2) return 70
  return 20 + nth * 10 + ((at * 7) % 5) / 4
}

async function post(weir: WeirProcess, device: string, body: unknown): Promise<void> {
  const path = `/v1/devices/${encodeURIComponent(device)}/telemetry`
  const { status, text } = await weir.api(path, { body })
  assert.equal(status, 200, text)
}

export interface Answers extends Record<string, unknown> {
  alerts: { alerts: { id: string }[] }
}

/** Everything that can be asked, without what says how the answer was found. */
export async function answersOf(weir: WeirProcess): Promise<Answers> {
  const span = { start: BEGIN_MS - 3_600_000, end: BEGIN_MS + 86_400_000 }
  const readings: Record<string, unknown> = {}
  const windows: Record<string, unknown> = {}
  for (const [device_id, metric] of QUESTIONS) {
    const question = { device_id, metric, ...span }
    readings[`${device_id} ${metric}`] = await weir.points(device_id, metric, span)
    for (const window of ['1m', '5m']) {
      const answer = await weir.get<{ windows: unknown }>('/v1/aggregations', {
        ...{ ...question, window },
      })
      windows[`${device_id} ${metric} ${window}`] = answer.windows
    }
  }
  const lists: Record<string, unknown> = {}
  const alerts = await weir.get<Answers['alerts']>('/v1/alerts', { limit: 1000 })
  for (const list of ['anomalies', 'dead-letters']) {
    lists[list] = await weir.get(`/v1/${list}`, { limit: 1000 })
  }
  const devices = await weir.get('/v1/devices', { limit: 1000 })
  const latest: Record<string, unknown> = {}
  for (const id of [...DEVICES, 'host-1']) {
    latest[id] = await weir.get(`/v1/devices/${encodeURIComponent(id)}/latest`)
  }
  return { devices, readings, windows, alerts, ...lists, latest }
}
