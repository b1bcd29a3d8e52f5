/** Compares what a process answers with what the devices know. */
import assert from 'node:assert/strict'
import type { Device } from './crash-load.ts'
import { anomaliesOf, breachesOf, windowsOf, type Sent, type Window } from './crash-reference.ts'
import type { WeirProcess, Episode } from './weir-process.ts'

interface Span {
  fromMs: number
  toMs: number
}

/** The API’s largest answer of lists. */
const ROWS_MAX = 1_000
const RELATIVE_MAX = 1e-9
const WINDOWS = { '1m': 60_000, '5m': 300_000 }
/** The watermark stands this far behind the last reading. */
const DISORDER_MS = 10_000
/** How long one frame, from the first message it takes in to the last, may last. */
const FRAME_MS = 500

/** Every acknowledged reading once and with its first value; nothing that was never sent. */
export async function checkReadings(weir: WeirProcess, device: Device, span: Span): Promise<void> {
  for (const metric of Object.keys(device.sent[0]!.metrics)) {
    const stored = await storedReadings(weir, { device: device.id, metric, span })
    const where = `${device.id} ${metric}`
    if (device.kind === 'probe') checkSerials(stored, device.sent, where)
    else checkTimes(stored, { metric, sent: device.sent, where })
    if (typeof device.sent[0]!.metrics[metric] !== 'number') continue
    await checkWindows(weir, stored as [number, number][], { device: device.id, metric, span })
    await checkSteps(weir, stored as [number, number][], { device: device.id, metric, span })
  }
}

type Stored = [number, number | boolean]

/** `[event time µs, value]`, read in slices that the largest answer holds. */
export async function storedReadings(
  weir: WeirProcess,
  { device, metric, span }: { device: string; metric: string; span: Span },
): Promise<Stored[]> {
  const { points, meta } = await weir.get<{ points: Stored[]; meta: { resolution_ms: number } }>(
    '/v1/query',
    { device_id: device, metric, start: span.fromMs, end: span.toMs },
  )
  if (meta.resolution_ms === 0) return points.map(([ms, value]) => [Math.round(ms * 1000), value])
  const middleMs = Math.floor((span.fromMs + span.toMs) / 2)
  const halves = [
    { fromMs: span.fromMs, toMs: middleMs },
    { fromMs: middleMs, toMs: span.toMs },
  ]
  const parts: Stored[][] = []
  for (const half of halves) parts.push(await storedReadings(weir, { device, metric, span: half }))
  return parts.flat()
}

function checkTimes(
  stored: Stored[],
  { metric, sent, where }: { metric: string; sent: Sent[]; where: string },
): void {
  const expected = new Map(sent.map(({ timeUs, metrics }) => [timeUs, metrics[metric]]))
  const found = new Map(stored)
  assert.equal(found.size, stored.length, `${where}: a reading is there twice`)
  for (const [timeUs, value] of stored) {
    assert.equal(value, expected.get(timeUs), `${where}: another value at ${timeUs}`)
  }
  const lost = sent.filter(({ timeUs, ackMs }) => ackMs !== undefined && !found.has(timeUs))
  assert.deepEqual(lost, [], `${where}: ${lost.length} acknowledged readings are lost`)
}

/** Without a clock: the serial number in the value says which message it was. */
function checkSerials(stored: Stored[], sent: Sent[], where: string): void {
  const found = new Set(stored.map(([, serial]) => serial))
  assert.equal(found.size, stored.length, `${where}: a message was stored twice`)
  assert.equal(new Set(stored.map(([timeUs]) => timeUs)).size, stored.length)
  const acknowledged = sent.filter(({ ackMs }) => ackMs !== undefined)
  const lost = acknowledged.filter(({ metrics }) => !found.has(metrics['serial']!))
  assert.deepEqual(lost, [], `${where}: ${lost.length} acknowledged messages are lost`)
}

interface SeriesQuestion {
  device: string
  metric: string
  span: Span
}

export async function checkWindows(
  weir: WeirProcess,
  stored: [number, number][],
  { device, metric, span }: SeriesQuestion,
): Promise<void> {
  for (const [window, windowMs] of Object.entries(WINDOWS)) {
    const { windows } = await weir.get<{ windows: Window[] }>('/v1/aggregations', {
      ...{ device_id: device, metric, window, start: span.fromMs, end: span.toMs },
    })
    // Windows that the watermark has not passed are not there yet.
    const closedMs = span.toMs - DISORDER_MS - windowMs
    const isClosed = ({ window_start }: Window): boolean => window_start <= closedMs
    const expected = windowsOf(stored, windowMs).filter(isClosed)
    const where = `${device} ${metric} ${window}`
    compareWindows(windows.filter(isClosed), expected, where)
  }
}

function compareWindows(found: Window[], expected: Window[], where: string): void {
  assert.deepEqual(
    found.map(({ window_start }) => window_start),
    expected.map(({ window_start }) => window_start),
    `${where}: other windows`,
  )
  for (const [i, one] of found.entries()) {
    const wanted = expected[i]!
    const at = `${where} from ${one.window_start}`
    const { count, min, max, first, last } = wanted
    assert.deepEqual(
      { count: one.count, min: one.min, max: one.max, first: one.first, last: one.last },
      { count, min, max, first, last },
      at,
    )
    assertClose(one.avg, wanted.avg, `${at}: avg`)
    if (wanted.stddev === null) assert.equal(one.stddev, null, `${at}: stddev`)
    else assertClose(one.stddev ?? NaN, wanted.stddev, `${at}: stddev`)
  }
}

/** The same by `agg` and `step`, which the planner answers from windows and readings together. */
export async function checkSteps(
  weir: WeirProcess,
  stored: [number, number][],
  { device, metric, span }: SeriesQuestion,
): Promise<void> {
  const stepMs = WINDOWS['5m']
  const expected = windowsOf(stored, stepMs)
  for (const agg of ['count', 'avg', 'max'] as const) {
    const points = await weir.points(device, metric, {
      ...{ start: span.fromMs, end: span.toMs, agg, step: '5m' },
    })
    assert.deepEqual(
      points.map(([ms]) => ms),
      expected.map(({ window_start }) => window_start),
      `${device} ${metric}: other steps`,
    )
    for (const [i, [ms, value]] of points.entries()) {
      assertClose(value as number, expected[i]![agg], `${device} ${metric} ${agg} at ${ms}`)
    }
  }
}

function assertClose(found: number, expected: number, what: string): void {
  const bound = RELATIVE_MAX * Math.max(Math.abs(found), Math.abs(expected), 1e-12)
  assert.ok(Math.abs(found - expected) <= bound, `${what} is ${found}, not ${expected}`)
}

/** Every broken message that was acknowledged is a dead letter (once or, sent again, more). */
export async function checkRefusals(weir: WeirProcess, device: Device): Promise<void> {
  if (device.refused.length === 0) return
  const { items } = await weir.get<{ items: { id: string; payload: string; code: string }[] }>(
    '/v1/dead-letters',
    { device_id: device.id, limit: ROWS_MAX },
  )
  assert.equal(new Set(items.map(({ id }) => id)).size, items.length, 'a dead letter id twice')
  const payloads = new Set(items.map(({ payload }) => payload))
  const lost = device.refused.filter((payload) => !payloads.has(payload))
  assert.deepEqual(lost, [], `${device.id}: dead letters are lost`)
  for (const { code } of items) assert.equal(code, 'TIME_FORMAT_INVALID')
}

/** The messages of one HTTP batch have one ingest time, so episodes in it begin together. */
const inTimeOrder = (a: Episode, b: Episode): number =>
  a.triggered_at - b.triggered_at || (a.resolved_at ?? Infinity) - (b.resolved_at ?? Infinity)

/** Episodes of a device whose log order is the sender's; ingest lies between sending and answer. */
export async function checkAlerts(
  weir: WeirProcess,
  { id, sent }: Device,
  { hotForMs }: { hotForMs: number },
): Promise<void> {
  const alerts = await weir.episodes(id)
  assert.equal(new Set(alerts.map((one) => one.id)).size, alerts.length, `${id}: an id twice`)
  const inOrder = alerts.toSorted(inTimeOrder)
  const dry = inOrder.filter(({ rule_id }) => rule_id === 'dry')
  const hot = inOrder.filter(({ rule_id }) => rule_id === 'hot')
  checkDry(dry, sent, id)
  checkHot(hot, { sent, forMs: hotForMs, id })
}

/** Without `for` the order alone decides: one episode per rising edge. */
function checkDry(alerts: Episode[], sent: Sent[], id: string): void {
  const breaches = breachesOf(
    sent,
    ({ metrics }) => metrics['running'] === true && (metrics['pressure'] as number) < 5,
  )
  assert.equal(alerts.length, breaches.length, `${id} dry: episodes`)
  for (const [i, { begin, end }] of breaches.entries()) {
    const alert = alerts[i]!
    assertBetween(alert.triggered_at, begin, `${id} dry ${i} triggered`)
    if (end === undefined) assert.equal(alert.resolved_at, null)
    else assertBetween(alert.resolved_at, end, `${id} dry ${i} resolved`)
  }
}

interface Breach {
  begin: Sent
  end: Sent
}

/**
 * With `for` a breach fires once if it surely lasted long enough, never if it surely did not. Where
 * answers were withheld for long the times of two breaches overlap; then any way to give them the
 * episodes in order will do.
 */
function checkHot(
  alerts: Episode[],
  { sent, forMs, id }: { sent: Sent[]; forMs: number; id: string },
): void {
  const breaches = breachesOf(sent, ({ metrics }) => (metrics['temperature'] as number) > 80)
  for (const { begin, end } of breaches)
    assert.ok(end?.ackMs !== undefined && begin.ackMs !== undefined, `${id}: hot at the end`)
  const whole = breaches as Breach[]
  const isSure = ({ begin, end }: Breach): boolean => end.sentMs - begin.ackMs! >= forMs + FRAME_MS
  assert.ok(whole.some(isSure), `${id}: no breach was long enough to tell`)
  // Whether the breaches from `breach` on can have the episodes from `episode` on.
  const fits = (breach: number, episode: number): boolean => {
    const [one, alert] = [whole[breach], alerts[episode]]
    if (one === undefined) return alert === undefined
    furthest = Math.max(furthest, breach)
    const isTheirs = alert !== undefined && isEpisodeOf(one, alert, forMs)
    return (
      (isTheirs && fits(breach + 1, episode + 1)) || (!isSure(one) && fits(breach + 1, episode))
    )
  }
  let furthest = 0
  if (fits(0, 0)) return
  const near = (ms: number): boolean => ms >= whole[furthest]!.begin.sentMs - 60_000
  const found = alerts.filter(({ triggered_at }) => near(triggered_at)).slice(0, 5)
  const wanted = JSON.stringify(whole.slice(Math.max(0, furthest - 2), furthest + 3))
  assert.fail(`${id} hot: ${JSON.stringify(found)} are not the episodes of ${wanted}`)
}

function isEpisodeOf({ begin, end }: Breach, alert: Episode, forMs: number): boolean {
  const { triggered_at, resolved_at } = alert
  return (
    triggered_at >= begin.sentMs + forMs - 1 &&
    triggered_at <= end.ackMs! + 1 &&
    resolved_at !== null &&
    resolved_at >= end.sentMs - 1 &&
    resolved_at <= end.ackMs! + 1
  )
}

function assertBetween(ms: number | null, { sentMs, ackMs }: Sent, what: string): void {
  assert.ok(
    ms !== null && ackMs !== undefined && ms >= sentMs - 1 && ms <= ackMs + 1,
    `${what} at ${ms}, not between ${sentMs} and ${ackMs}`,
  )
}

/** Z-scores of a device whose log order is the sender's. */
export async function checkAnomalies(
  weir: WeirProcess,
  { id, sent }: Device,
  detector: { n: number; threshold: number },
): Promise<void> {
  const { anomalies } = await weir.get<{ anomalies: { ts: number; score: number; id: string }[] }>(
    '/v1/anomalies',
    { device_id: id, limit: ROWS_MAX },
  )
  assert.ok(anomalies.length < ROWS_MAX, 'more anomalies than one answer holds')
  const readings = sent.map(({ timeUs, metrics }): [number, number] => [
    timeUs,
    metrics['temperature'] as number,
  ])
  const expected = anomaliesOf(readings, detector)
  const found = anomalies
    .map(({ ts, score }): [number, number] => [Math.round(ts * 1000), score])
    .toSorted(([a], [b]) => a - b)
  assert.deepEqual(
    found.map(([timeUs]) => timeUs),
    expected.map(([timeUs]) => timeUs),
    `${id}: other anomalies`,
  )
  for (const [i, [timeUs, score]] of found.entries()) {
    const wanted = expected[i]![1]
    const isClose = Math.abs(score - wanted) <= 1e-6 * Math.abs(wanted)
    assert.ok(isClose, `${id}: score ${score} at ${timeUs}, not ${wanted}`)
  }
}
