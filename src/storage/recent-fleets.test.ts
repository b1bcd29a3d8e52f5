import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeFrame } from '../batch/batch.ts'
import {
  FATE_UNVERIFIED,
  PARTIAL_COUNT,
  PARTIAL_MEAN,
  PARTIAL_SQUARES,
  PARTIAL_START_MS,
  PARTIAL_SUM,
} from '../stream/stream.ts'
import { fleetHours } from './fleet-view.ts'
import { LateRanges } from './late-ranges.ts'
import { FLEET_SERIES_MIN, RecentFleets } from './recent-fleets.ts'
import { SeriesDirectory } from './series-directory.ts'
import { defineSeries, makeOutput, type Reading } from './storage-fixture.ts'

const MINUTE_US = 60e6

function directoryOf(count: number): SeriesDirectory {
  const directory = new SeriesDirectory()
  const series = Array.from({ length: count }, (_, at) =>
    defineSeries(at, 'temperature', { deviceId: `d${at}` }),
  )
  directory.add({ series, texts: [] })
  return directory
}

function add(fleets: RecentFleets, readings: Reading[]): void {
  const { frame, fates } = makeOutput({ offset: 0, readings })
  fleets.add(decodeFrame(frame), fates)
}

function read(fleets: RecentFleets, startUs: number, endUs: number) {
  const rows: Float64Array[] = []
  const told = fleets.read(0, { startUs, endUs }, (row) => rows.push(row))
  return { told, rows }
}

test('a fleet is told from behind all that was there when it became one', () => {
  const directory = directoryOf(FLEET_SERIES_MIN - 1)
  const fleets = new RecentFleets(directory, 30 * MINUTE_US)
  add(fleets, [{ series: 0, timeUs: 40 * MINUTE_US, value: 1 }])
  const one = defineSeries(FLEET_SERIES_MIN - 1, 'temperature', { deviceId: 'another' })
  assert.deepEqual(read(fleets, 0, 99 * MINUTE_US), { told: [], rows: [] })
  directory.add({ series: [one], texts: [] })
  fleets.seriesCame([one])
  const times = [35, 40.5, 41, 50].map((minute) => minute * MINUTE_US)
  add(
    fleets,
    times.map((timeUs) => ({ series: 3, timeUs, value: 1 })),
  )
  const { told, rows } = read(fleets, 0, 99 * MINUTE_US)
  assert.deepEqual(told, [{ startUs: 41 * MINUTE_US, endUs: 99 * MINUTE_US }])
  assert.deepEqual(
    rows.map((row) => row[PARTIAL_START_MS]),
    [41 * 60_000, 50 * 60_000],
  )
})

test('a minute is told when all of it is in the span, and nothing of it may be a repeat', () => {
  const fleets = new RecentFleets(directoryOf(FLEET_SERIES_MIN), -Infinity)
  add(fleets, [
    { series: 0, timeUs: 10 * MINUTE_US, value: 1 },
    { series: 1, timeUs: 11 * MINUTE_US, value: 1 },
    { series: 1, timeUs: 11 * MINUTE_US + 1, value: 1, fate: FATE_UNVERIFIED },
    { series: 2, timeUs: 12 * MINUTE_US + 500, value: 1 },
  ])
  const { told } = read(fleets, 9.5 * MINUTE_US, 12 * MINUTE_US + 501)
  assert.deepEqual(told, [
    { startUs: 10 * MINUTE_US, endUs: 11 * MINUTE_US },
    { startUs: 12 * MINUTE_US, endUs: 12 * MINUTE_US + 501 },
  ])
  assert.deepEqual(read(fleets, 12 * MINUTE_US, 12 * MINUTE_US + 500).told, [])
  fleets.erase(2, { startUs: 0, endUs: 12 * MINUTE_US + 1 })
  assert.deepEqual(read(fleets, 10 * MINUTE_US, 13 * MINUTE_US).told, [])
})

test('the older half of more than two days is forgotten, and no longer told', () => {
  const fleets = new RecentFleets(directoryOf(FLEET_SERIES_MIN), -Infinity)
  const minutes = 5000
  for (let minute = 0; minute < minutes; minute++) {
    add(fleets, [{ series: 0, timeUs: minute * MINUTE_US, value: minute }])
  }
  const { told, rows } = read(fleets, 0, minutes * MINUTE_US)
  const [span] = told
  assert.ok(span !== undefined && rows.length >= 1440 && rows.length <= 2880)
  assert.deepEqual(told, [{ startUs: span.startUs, endUs: minutes * MINUTE_US }])
  assert.equal(rows.length, minutes - span.startUs / MINUTE_US)
  assert.ok(rows.every((row) => row[PARTIAL_START_MS]! * 1000 >= span.startUs))
})

test('values far from zero keep their spread', () => {
  const fleets = new RecentFleets(directoryOf(FLEET_SERIES_MIN), -Infinity)
  const values = Array.from({ length: 600 }, (_, at) => 1e9 + ((at * 7919) % 1000) / 1000)
  add(
    fleets,
    values.map((value, at) => ({ series: at % FLEET_SERIES_MIN, timeUs: at, value })),
  )
  const [row] = read(fleets, 0, MINUTE_US).rows
  const sum = values.reduce((total, value) => total + value, 0)
  const mean = sum / values.length
  const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0)
  assert.equal(row![PARTIAL_COUNT], values.length)
  assert.ok(Math.abs(row![PARTIAL_SUM]! - sum) < 1e-9 * sum)
  assert.ok(Math.abs(row![PARTIAL_MEAN]! - mean) < 1e-9 * mean)
  assert.ok(Math.abs(row![PARTIAL_SQUARES]! - squares) < 1e-6 * squares)
})

test('a look is told nothing of what came behind it', () => {
  const directory = directoryOf(FLEET_SERIES_MIN)
  const recentFleets = new RecentFleets(directory, -Infinity)
  const look = () =>
    fleetHours({
      ...{ directory, recentFleets, late: new LateRanges(new Map()).look(), summedUp: undefined },
      ...{ rollupsFromUs: 0, damagedRollups: [], tiers: new Set(), read: async () => false },
    })
  const before = look()
  add(recentFleets, [{ series: 0, timeUs: 0, value: 1 }])
  const span = { startUs: 0, endUs: MINUTE_US }
  assert.deepEqual(
    before.minutes!.recent(0, span, () => assert.fail('told')),
    [],
  )
  assert.deepEqual(
    look().minutes!.recent(0, span, () => undefined),
    [span],
  )
})
