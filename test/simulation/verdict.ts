/** The checks of a finished run: what was sent, what is in the log, and what storage answers. */
import { MESSAGE_HISTORICAL } from '../../src/batch/batch.ts'
import { FATE_DUPLICATE, FATE_FRESH } from '../../src/stream/stream.ts'
import { twoPass, type OracleReading } from '../../src/stream/oracle.ts'
import { METRICS, METRIC_LABEL, METRIC_ON } from '../../src/stream/script.ts'
import type { Query, WindowRow } from '../../src/query/query.ts'
import type { Device } from './devices.ts'
import { check, nameOf, type History, type LoggedMessage } from './history.ts'
import { DEVICE_IDS, PLAN } from './plan.ts'

const ALL = { tenant: 'default', startUs: 0, endUs: 4e15, dimensions: {} }
/** That one answer holds: of more, which only long runs have, all that came must be right. */
const EVENTS_MAX = 1000
const POINTS_MAX = 1_000_000

/** Promises 1, 2 and 4: what was acknowledged is in the log, as it was said and in order. */
export function checkLog(devices: readonly Device[], history: History): void {
  const bySerial = Map.groupBy(history.messages, ({ serial }) => serial)
  const letters = new Set(history.deadLetters.map(({ payload }) => payload))
  for (const [index, device] of devices.entries()) {
    for (const message of device.sent) {
      const logged = bySerial.get(message.serial) ?? []
      if (!message.isValid) {
        check(logged.length === 0, () => `promise 4: ${message.payload} was accepted`)
        const isKept = letters.has(message.payload) || !message.isAcknowledged
        check(isKept, () => `promise 4: no dead letter of ${message.payload}`)
        continue
      }
      const isThere = logged.length > 0 || !message.isAcknowledged
      check(
        isThere,
        () => `promise 1: ${device.id} ${message.payload} was acknowledged and is gone`,
      )
      for (const one of logged) checkContent(one, message, index)
    }
    checkOrder(
      device,
      history.messages.filter((one) => one.device === index),
    )
  }
}

function checkContent(logged: LoggedMessage, sent: Device['sent'][number], device: number): void {
  const found = Object.fromEntries(
    logged.readings.map(([metric, value]) => [METRICS[metric]!.name, meaning(metric, value)]),
  )
  const isSame =
    logged.device === device &&
    JSON.stringify(sorted(found)) === JSON.stringify(sorted(sent.metrics))
  check(isSame, () => `promise 4: ${sent.payload} became ${JSON.stringify(found)}`)
  const isBelieved = (logged.flags & ~MESSAGE_HISTORICAL) === 0
  if (isBelieved && sent.ts !== undefined) {
    const isTime = logged.eventUs === Math.round(sent.ts * 1000)
    check(isTime, () => `time: ${sent.payload} got ${logged.eventUs}`)
  }
}

const sorted = (of: object): [string, unknown][] =>
  Object.entries(of).toSorted(([a], [b]) => (a < b ? -1 : 1))

function meaning(metric: number, value: number): number | boolean | string {
  if (metric === METRIC_ON) return value === 1
  return metric === METRIC_LABEL ? (value === 1 ? 'fault' : 'ok') : value
}

/**
 * Promise 2: of each connection a beginning of what was written on it came, in that order, and one
 * connection after the other. The set holds the places up to which the log can be told so far.
 */
function checkOrder(device: Device, logged: readonly LoggedMessage[]): void {
  let places = new Set([0])
  for (const written of device.connections) {
    const next = new Set(places)
    for (const place of places) {
      for (let count = 0; count < written.length; count++) {
        if (logged[place + count]?.serial !== written[count]) break
        next.add(place + count + 1)
      }
    }
    places = next
  }
  check(places.has(logged.length), () => {
    const at = Math.max(...places)
    return `promise 2: ${device.id}: message ${at} of ${logged.length} in the log came out of order`
  })
}

/** The first write of each identity, by series, in the order of time: what storage must hold. */
function storedReadings(history: History): Map<number, OracleReading[]> {
  const first = new Map<string, OracleReading>()
  for (const reading of history.oracle.readings) {
    const key = `${reading.series} ${reading.eventUs}`
    if (reading.series < 0 || reading.fate === FATE_DUPLICATE || first.has(key)) continue
    first.set(key, reading)
  }
  const bySeries = Map.groupBy(first.values(), ({ series }) => series)
  for (const readings of bySeries.values()) readings.sort((a, b) => a.eventUs - b.eventUs)
  return bySeries
}

/** Promises 3, 4, 7 and 8: storage answers what the oracle says. */
export async function checkStorage(query: Query, history: History): Promise<void> {
  const stored = storedReadings(history)
  for (const [series, readings] of stored) {
    await checkReadings(query, series, readings)
    await checkWindows(query, series, readings)
  }
  checkEpisodes(history)
  await checkAnomalies(query, history)
  await checkDeadLetters(query, history)
}

async function checkReadings(
  query: Query,
  series: number,
  readings: OracleReading[],
): Promise<void> {
  const name = nameOf(series)
  const question = { ...ALL, ...name, aggregate: undefined, stepUs: undefined }
  const { points, meta } = await query.readings({ ...question, pointsMax: POINTS_MAX })
  check(meta.completeness === 1, () => `completeness ${meta.completeness} of ${name.deviceId}`)
  const found = new Map(points.map(([ms, value]) => [Math.round(ms * 1000), value]))
  check(points.length === found.size, () => `promise 3: ${name.deviceId} ${name.metric} twice`)
  const metric = METRICS.findIndex((one) => one.name === name.metric)
  for (const { eventUs, value } of readings) {
    const answer = found.get(eventUs)
    const wanted = meaning(metric, value)
    check(
      answer !== undefined,
      () => `promise 1: ${name.deviceId} ${name.metric} at ${eventUs} lost`,
    )
    const isSame = answer === wanted
    check(isSame, () => `promise 3: ${name.metric} at ${eventUs}: ${String(answer)}, not ${wanted}`)
  }
  check(
    points.length === readings.length,
    () => `promise 3: ${name.deviceId} ${name.metric}: ${points.length} of ${readings.length}`,
  )
}

async function checkWindows(
  query: Query,
  series: number,
  readings: OracleReading[],
): Promise<void> {
  const name = nameOf(series)
  if (name.metric === 'label') return
  for (const windowMs of PLAN.windowsMs) {
    const { windows: rows } = await query.windows({ ...ALL, ...name, windowMs })
    const groups = Map.groupBy(
      readings,
      ({ eventUs }) => Math.floor(eventUs / 1000 / windowMs) * windowMs,
    )
    const what = `promise 8: ${name.deviceId} ${name.metric} ${windowMs} ms`
    const odd = difference(
      rows.map((row) => String(row.window_start)),
      [...groups.keys()].map(String),
    )
    check(odd === undefined, () => `${what}: windows: ${odd}`)
    for (const row of rows) checkWindow(row, groups.get(row.window_start) ?? [], what)
  }
}

function checkWindow(row: WindowRow, readings: OracleReading[], what: string): void {
  const values = readings.map(({ value }) => value)
  const place = `${what} at ${row.window_start}`
  const exact = [row.count, row.min, row.max, row.first, row.last].join()
  const wanted = [values.length, Math.min(...values), Math.max(...values), values[0], values.at(-1)]
  check(exact === wanted.join(), () => `${place}: ${exact}, not ${wanted.join()}`)
  const { mean, squares } = twoPass(values)
  const deviation = values.length < 2 ? null : Math.sqrt(squares / (values.length - 1))
  const scale = Math.max(...values.map(Math.abs), 1)
  const isClose = (a: number | null, b: number | null): boolean =>
    a === b || (a !== null && b !== null && Math.abs(a - b) <= 1e-9 * scale)
  check(isClose(row.avg, mean), () => `${place}: mean ${row.avg}, not ${mean}`)
  check(isClose(row.stddev, deviation), () => `${place}: deviation ${row.stddev}, not ${deviation}`)
}

/** What two lists have not in common, some of it. */
function difference(found: string[], wanted: string[]): string | undefined {
  const count = (list: string[]): Map<string, number> => {
    const counts = new Map<string, number>()
    for (const one of list) counts.set(one, (counts.get(one) ?? 0) + 1)
    return counts
  }
  const [a, b] = [count(found), count(wanted)]
  const odd = [...new Set([...found, ...wanted])].filter((one) => a.get(one) !== b.get(one))
  if (odd.length === 0) return undefined
  return odd
    .slice(0, 3)
    .map((one) => `${one} (${a.get(one) ?? 0} times, not ${b.get(one) ?? 0})`)
    .join('; ')
}

function checkEpisodes(history: History): void {
  const found = [...history.alerts.values()].map(
    ({ deviceId, ruleId, triggeredAtUs, resolvedAtUs }) => {
      const resolved = resolvedAtUs === undefined ? '-' : resolvedAtUs / 1000
      return [deviceId, ruleId, triggeredAtUs / 1000, resolved].join(' ')
    },
  )
  const episodes = new Map<string, string>()
  for (const one of history.oracle.episodes) {
    const key = [one.ruleId, one.device, one.triggeredAtUs, one.breachEventTimeUs].join(' ')
    const resolved = one.resolvedAtUs === undefined ? '-' : one.resolvedAtUs / 1000
    const name = [DEVICE_IDS[one.device], one.ruleId, one.triggeredAtUs / 1000, resolved].join(' ')
    episodes.set(key, name)
  }
  const odd = difference(found, [...episodes.values()])
  check(odd === undefined, () => `promise 7: episodes: ${odd}`)
}

async function checkAnomalies(query: Query, history: History): Promise<void> {
  const rows = await query.anomalies({ tenant: 'default', deviceId: undefined, limit: EVENTS_MAX })
  const found = rows.map((row) => `${row.device_id} ${row.metric} ${Math.round(row.ts * 1000)}`)
  const wanted = history.oracle.anomalies.map(({ series, eventUs }) => {
    const { deviceId, metric } = nameOf(series)
    return `${deviceId} ${metric} ${eventUs}`
  })
  const isCut = wanted.length > EVENTS_MAX && found.length === EVENTS_MAX
  const odd = difference(found, isCut ? inFound(wanted, found) : wanted)
  check(odd === undefined, () => `anomalies: ${odd}`)
}

async function checkDeadLetters(query: Query, history: History): Promise<void> {
  const filter = { tenant: 'default', deviceId: undefined, limit: EVENTS_MAX }
  const rows = await query.deadLetters(filter)
  const found = rows.map((row) => `${row.device_id} ${row.received_at} ${row.payload}`)
  const wanted = history.deadLetters.map(
    (one) => `${one.deviceId} ${one.receivedAtUs / 1000} ${one.payload}`,
  )
  const isCut = wanted.length > EVENTS_MAX && found.length === EVENTS_MAX
  const odd = difference(found, isCut ? inFound(wanted, found) : wanted)
  check(odd === undefined, () => `promise 4: dead letters: ${odd}`)
}

function inFound(wanted: readonly string[], found: readonly string[]): string[] {
  const names = new Set(found)
  return wanted.filter((name) => names.has(name))
}

/** Counted, so that a run in which nothing happened does not pass for a proof. */
export function summary(devices: readonly Device[], history: History): Record<string, number> {
  const { readings, episodes, anomalies } = history.oracle
  const fates = (fate: number): number => readings.filter((one) => one.fate === fate).length
  return {
    sent: devices.reduce((sum, { sent }) => sum + sent.length, 0),
    connections: devices.reduce((sum, { connections }) => sum + connections.length, 0),
    entries: history.entries.length,
    messages: history.messages.length,
    fresh: fates(FATE_FRESH),
    duplicates: fates(FATE_DUPLICATE),
    deadLetters: history.deadLetters.length,
    episodes: episodes.length,
    anomalies: anomalies.length,
  }
}
