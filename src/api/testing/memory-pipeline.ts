/**
 * A small pipeline in memory for the API's tests: it truly stores what comes in and answers from
 * it.
 * One rule (temperature > 80) and one detector (|value| > 1000) make live alerts, and anomalies.
 */
import type { AlertFeed } from '../../alerts/alerts.ts'
import type { DeviceReader, Principal } from '../../control/control.ts'
import { WeirError } from '../../errors/errors.ts'
import type {
  IngestRequest,
  IngestResult,
  Rejection,
  TelemetryDoor,
} from '../../gateway/gateway.ts'
import { makeAlert } from './alert-body.ts'
import { answerGroups, compareDeviceIds, LatestRows } from '../../query/query.ts'
import type { Aggregate, AnomalyRow, DeadLetterRow, EventsFilter } from '../../query/query.ts'
import type { GroupsQuestion, Query, ReadingsQuestion } from '../../query/query.ts'
import type { LatestQuestion, Value, WindowsQuestion } from '../../query/query.ts'
import { lookAt } from './memory-view.ts'
import type { RuleEvent } from '../../stream/stream.ts'
import type { Clock } from '../../world/world.ts'
import type { LiveEvent, LiveFeed } from '../api.ts'

interface Reading {
  deviceId: string
  metric: string
  timeUs: number
  value: Value
  dimensions: Record<string, string>
}

interface Message {
  deviceId: string | undefined
  timeUs: number
  metrics: Record<string, unknown>
  dimensions: Record<string, string>
}

const SCALE_US = { ns: 1e-3, us: 1, ms: 1e3, s: 1e6, m: 60e6, h: 3600e6 }
const NOT_METRICS = ['ts', 'id', 'device', 'schema', 'tags', 'metrics']

export class MemoryPipeline implements TelemetryDoor, Query, LiveFeed {
  /** Every request as it came, for tests that compare bytes. */
  readonly requests: IngestRequest[] = []
  /** Thrown by the next ingest() when set. */
  failure: WeirError | undefined
  /** Told what the rule says. */
  feed: AlertFeed | undefined
  /** What a question about one device waits for. */
  held: ((signal: AbortSignal | undefined) => Promise<void>) | undefined
  /** What answers say of themselves. */
  completenessNow = 1
  readonly #control: DeviceReader
  readonly #clock: Clock
  #readings: Reading[] = []
  #deadLetters: DeadLetterRow[] = []
  #anomalies: AnomalyRow[] = []
  #events: RuleEvent[] = []
  readonly #listeners = new Map<(event: LiveEvent) => void, string[]>()

  constructor(control: DeviceReader, clock: Clock) {
    this.#control = control
    this.#clock = clock
  }

  get listenerCount(): number {
    return this.#listeners.size
  }

  async ingest(request: IngestRequest): Promise<IngestResult> {
    this.requests.push(request)
    if (this.failure !== undefined) throw this.failure
    const text = Buffer.from(request.body).toString('utf8')
    const messages = request.format === 'json' ? this.#json(text) : this.#lines(text, request)
    const rejected: Rejection[] = []
    for (const [index, message] of messages.entries()) {
      try {
        this.#store(message, request)
      } catch (error) {
        if (!(error instanceof WeirError)) throw error
        rejected.push({ index, code: error.code, detail: error.message })
        this.#bury(message.deviceId ?? '', error, text)
      }
    }
    await this.feed?.take(this.#events.splice(0))
    const accepted = messages.length - rejected.length
    return { accepted, rejected: rejected.slice(0, 1000), rejectedCount: rejected.length }
  }

  #json(text: string): Message[] {
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch {
      throw new WeirError('TELEMETRY_JSON_INVALID')
    }
    const list = (Array.isArray(parsed) ? parsed : [parsed]) as Record<string, unknown>[]
    if (list.includes(null as never)) throw new WeirError('TELEMETRY_JSON_INVALID')
    return list.map((message) => ({
      deviceId: message['device'] as string | undefined,
      timeUs: typeof message['ts'] === 'number' ? message['ts'] * 1000 : this.#clock.nowUs(),
      metrics:
        (message['metrics'] as Record<string, unknown>) ??
        Object.fromEntries(Object.entries(message).filter(([key]) => !NOT_METRICS.includes(key))),
      dimensions: {},
    }))
  }

  #lines(text: string, { precision }: IngestRequest): Message[] {
    const lines = text.split('\n').filter((line) => line.trim() !== '')
    return lines.map((line) => {
      const [head = '', fields = '', time] = line.trim().split(' ')
      const [measurement = '', ...tags] = head.split(',')
      const named = Object.fromEntries(tags.map((tag) => tag.split('=')))
      const pairs = fields.split(',').map((field) => field.split('='))
      return {
        deviceId: named['device_id'] ?? named['host'],
        timeUs: time === undefined ? this.#clock.nowUs() : Number(time) * SCALE_US[precision],
        metrics: Object.fromEntries(pairs.map(([name, value]) => [name, Number(value)])),
        dimensions: { measurement },
      }
    })
  }

  #store(message: Message, { principal, deviceId: pathId }: IngestRequest): void {
    const own = principal.kind === 'device' ? principal.deviceId : undefined
    const deviceId = pathId ?? message.deviceId ?? own
    if (deviceId === undefined) throw new WeirError('GATEWAY_DEVICE_MISSING')
    this.#checkWriter(principal, deviceId)
    const metrics = Object.entries(message.metrics)
    if (metrics.length === 0) throw new WeirError('TELEMETRY_METRICS_EMPTY')
    for (const [metric, value] of metrics) {
      if (value === null || typeof value === 'object' || Number.isNaN(value)) {
        throw new WeirError('TELEMETRY_TYPE_MISMATCH', `${metric}: ${JSON.stringify(value)}`)
      }
    }
    const { timeUs, dimensions } = message
    for (const [metric, value] of metrics as [string, Value][]) {
      this.#readings.push({ deviceId, metric, timeUs, value, dimensions })
      this.#watch(deviceId, metric, { timeUs, value })
    }
  }

  #checkWriter(principal: Principal, deviceId: string): void {
    const device = this.#control.find(principal.tenant, deviceId)
    if (device === undefined) throw new WeirError('GATEWAY_DEVICE_UNKNOWN', deviceId)
    if (principal.kind === 'admin' || principal.deviceId === deviceId) return
    if (principal.kind === 'gateway' && device.parent === principal.deviceId) return
    throw new WeirError('GATEWAY_DEVICE_FORBIDDEN', deviceId)
  }

  #bury(deviceId: string, error: WeirError, payload: string): void {
    const id = String(this.#deadLetters.length + 1)
    const received_at = this.#clock.nowUs() / 1000
    const row = { id, device_id: deviceId, received_at, code: error.code, detail: error.message }
    this.#deadLetters.unshift({ ...row, payload })
  }

  #watch(device_id: string, metric: string, { timeUs, value }: { timeUs: number; value: Value }) {
    const ts = timeUs / 1000
    this.publish({ event: 'reading', data: { device_id, metric, ts, value } })
    if (typeof value !== 'number') return
    const id = `${device_id}-${metric}-${ts}`
    if (metric === 'temperature' && value > 80) {
      const alert = makeAlert({ id, device_id, triggered_at: ts, values: { [metric]: value } })
      this.#events.push(hotEvent(id, device_id, { timeUs, value }))
      this.publish({ event: 'alert', data: alert })
    }
    if (Math.abs(value) > 1000) {
      const anomaly = { id, device_id, metric, detector_id: 'far', ts, value, score: 9 }
      this.#anomalies.unshift(anomaly)
      this.publish({ event: 'anomaly', data: anomaly })
    }
  }

  publish(event: LiveEvent): void {
    for (const [listener, deviceIds] of this.#listeners) {
      if (event.event !== 'reading' || deviceIds.includes(event.data.device_id)) listener(event)
    }
  }

  subscribe(
    { deviceIds }: { tenant: string; deviceIds: string[] },
    listener: (event: LiveEvent) => void,
  ): () => void {
    this.#listeners.set(listener, deviceIds)
    return () => void this.#listeners.delete(listener)
  }

  #matching(question: Omit<WindowsQuestion, 'windowMs'>): Reading[] {
    const { deviceId, metric, startUs, endUs, dimensions } = question
    return this.#readings
      .filter((reading) => reading.deviceId === deviceId && reading.metric === metric)
      .filter(({ timeUs }) => timeUs >= startUs && timeUs < endUs)
      .filter((reading) =>
        Object.entries(dimensions).every(([name, value]) => reading.dimensions[name] === value),
      )
      .toSorted((a, b) => a.timeUs - b.timeUs)
  }

  async readings(question: ReadingsQuestion, signal?: AbortSignal) {
    await this.held?.(signal)
    const found = this.#matching(question)
    const { aggregate, stepUs = question.endUs } = question
    const seen = new Map(found.map(({ dimensions }) => [JSON.stringify(dimensions), dimensions]))
    const raw = found.map(({ timeUs, value }): [number, Value] => [timeUs / 1000, value])
    const steps = [...Map.groupBy(found, ({ timeUs }) => Math.floor(timeUs / stepUs) * stepUs)]
    const { limit, after } = question.page ?? { limit: question.pointsMax }
    // Of a place the series is how many readings there are of its time and before.
    const from = after === undefined ? 0 : after.series
    const isLast = question.page === undefined || from + limit >= raw.length
    const next = isLast
      ? undefined
      : { timeUs: found[from + limit - 1]!.timeUs, series: from + limit, widthUs: 1 }
    const points =
      aggregate === undefined
        ? raw.slice(from, from + limit)
        : steps.map(([startUs, rows]): [number, Value | null] => [
            startUs / 1000,
            (
              summarise(rows.map(({ value }) => Number(value))) as Partial<
                Record<Aggregate, number | null>
              >
            )[aggregate] ?? null,
          ])
    const series = [...seen.values()].map((dimensions) => ({ metric: question.metric, dimensions }))
    const counts = { segments_read: 0, segments_skipped: 0, segments_damaged: 0, cached: false }
    const resolution_ms = aggregate === undefined ? 0 : stepUs / 1000
    return {
      ...{ points, ...(next && { next }) },
      meta: {
        series,
        tiers: ['memory'],
        resolution_ms,
        completeness: this.completenessNow,
        ...counts,
      },
    }
  }

  async windows(question: WindowsQuestion) {
    const { windowMs } = question
    const found = Map.groupBy(this.#matching(question), ({ timeUs }) =>
      Math.floor(timeUs / 1000 / windowMs),
    )
    const windows = [...found].map(([index, rows]) => ({
      window_start: index * windowMs,
      ...summarise(rows.map(({ value }) => Number(value))),
    }))
    const counts = { segments_read: 0, segments_skipped: 0, segments_damaged: 0, cached: false }
    const completeness = this.completenessNow
    const meta = { tiers: ['memory'], resolution_ms: windowMs, completeness, ...counts }
    return { windows, meta }
  }

  groups(question: GroupsQuestion) {
    const typeOf = (id: string): string => this.#control.find(question.tenant, id)?.type ?? ''
    const looks = lookAt(this.#readings, typeOf, () => this.completenessNow)
    return answerGroups({ looks }, question)
  }

  async latest(_tenant: string, deviceId: string) {
    const newest: Record<string, { ts: number; value: Value }> = {}
    for (const { metric, timeUs, value } of this.#readings.filter((r) => r.deviceId === deviceId)) {
      if ((newest[metric]?.ts ?? -Infinity) <= timeUs / 1000) {
        newest[metric] = { ts: timeUs / 1000, value }
      }
    }
    return newest
  }

  async latestOfMetric({ tenant, metric, deviceType, afterDeviceId = '', limit }: LatestQuestion) {
    const rows = new LatestRows(limit)
    const ids = new Set(this.#readings.map(({ deviceId }) => deviceId))
    for (const id of [...ids].toSorted(compareDeviceIds)) {
      const device = this.#control.find(tenant, id)
      if (compareDeviceIds(id, afterDeviceId) <= 0 || device === undefined) continue
      if (deviceType !== undefined && device.type !== deviceType) continue
      const latest = (await this.latest(tenant, id))[metric]
      if (latest !== undefined && !rows.take(id, latest.ts, latest.value)) break
    }
    return rows.columns
  }

  async anomalies(filter: EventsFilter) {
    return cut(this.#anomalies, filter)
  }

  async deadLetters(filter: EventsFilter) {
    return cut(this.#deadLetters, filter)
  }

  async completeness() {
    return this.completenessNow
  }
}

const hotEvent = (
  id: string,
  deviceId: string,
  { timeUs, value }: { timeUs: number; value: number },
): RuleEvent => ({
  ...{ id, tenant: 'default', deviceId, ruleId: 'hot', ruleVersion: 1, severity: 'critical' },
  ...{ state: 'firing', triggeredAtUs: timeUs, resolvedAtUs: undefined },
  ...{ breachEventTimeUs: timeUs, values: { temperature: value } },
  reason: {
    ...{ kind: 'condition', condition: 'temperature > 80', metric: 'temperature' },
    ...{ unit: '°C', value, threshold: 80 },
  },
})

const cut = <Row extends { device_id: string }>(rows: Row[], filter: EventsFilter): Row[] =>
  rows
    .filter((row) => filter.deviceId === undefined || row.device_id === filter.deviceId)
    .slice(0, filter.limit)

function summarise(values: number[]) {
  const count = values.length
  const sum = values.reduce((total, value) => total + value, 0)
  const avg = sum / count
  const squares = values.reduce((total, value) => total + (value - avg) ** 2, 0)
  const stddev = count < 2 ? null : Math.sqrt(squares / (count - 1))
  const [min, max] = [Math.min(...values), Math.max(...values)]
  return { count, sum, avg, min, max, stddev, first: values[0]!, last: values.at(-1)! }
}
