/** The sink into real databases: what was given is there, once, as it was. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { openLineSink } from '../../src/line-sink/http-line-sink.ts'
import type { SeriesName } from '../../src/batch/batch.ts'
import type { SinkBatch } from '../../src/line-sink/line-sink.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { until } from '../system/weir-process.ts'
import { accessOf, killService, restartService } from './cluster.ts'
import { ask, readInflux, readQuestdb, TARGETS, type Reading } from './sink-targets.ts'

const TIME_US = 1_700_000_000_000_000
/** An apparatus of awkward names: each target takes it, or says in its row which it does not. */
const AWKWARD = [
  ...[
    'a b',
    'a,b',
    'a=b',
    'a"b',
    "a'b",
    'a\\b',
    'a\\\\b',
    '"quoted"',
    'ä😀',
    '-',
    '.',
    'x.y/z',
    '#1',
  ],
  ...['a\\', 'a\\ b', 'a\\,b', 'a\\=b'],
]

function batchOf(type: string, readings: readonly Reading[]): SinkBatch {
  const names = readings.map(({ tenant, device, metric, room, value }): SeriesName => ({
    ...{ tenant, deviceId: device, deviceType: type, metric },
    dimensions: room === '' ? [] : [['room', room]],
    kind: typeof value === 'string' ? 'text' : (typeof value as 'number' | 'boolean'),
  }))
  return {
    names,
    count: readings.length,
    series: Uint32Array.from(readings.keys()),
    timeUs: Float64Array.from(readings, ({ timeUs }) => timeUs),
    value: Float64Array.from(readings, ({ value }) =>
      typeof value === 'string' ? 0 : Number(value),
    ),
    texts: readings.map(({ value }) => (typeof value === 'string' ? value : undefined)),
  }
}

const textOf = ({ tenant, device, metric, room, timeUs, value }: Reading): string =>
  JSON.stringify([tenant, device, metric, room, timeUs, value])

/** A device's readings at some times, 10 ms apart. */
const readingsOf = (device: string, from: number, count: number): Reading[] =>
  Array.from({ length: count }, (_, at) => ({
    ...{ tenant: 'default', device, metric: `m${at % 3}`, room: at % 2 === 0 ? 'hall 1' : '' },
    ...{ timeUs: TIME_US + (from + at) * 10_000, value: (from + at) / 8 },
  }))

let types = 0
/** One for each test: a measurement that nobody wrote yet. */
const newType = (): string => `type_${process.pid}_${++types}`

for (const target of TARGETS) {
  const access = accessOf(target.service)
  const skip = access === undefined && `it does not run: npm run -s cluster:up -- ${target.service}`
  const open = (retryForMs = 60_000) =>
    openLineSink({
      kind: target.kind,
      url: access!['url']!,
      ...(access!['database'] === undefined ? {} : { database: access!['database'] }),
      ...{ username: access!['username']!, password: access!['password']! },
      ...{ retryForMs, clock: nodeWorld.clock, random: nodeWorld.random },
    })
  /** What is acknowledged may be seen a moment later. */
  const becomes = async (type: string, expected: readonly Reading[]): Promise<void> => {
    const endMs = performance.now() + 10_000
    let found = await target.read(access!, type)
    while (found.length < expected.length && performance.now() < endMs) {
      await delay(50)
      found = await target.read(access!, type)
    }
    const isStored = new Set(found.map((one) => textOf(one)))
    const isExpected = new Set(expected.map((one) => textOf(one)))
    const missing = expected.filter((one) => !isStored.has(textOf(one)))
    const foreign = found.filter((one) => !isExpected.has(textOf(one)))
    const [few, many] = [missing.slice(0, 3), foreign.slice(0, 3)]
    assert.deepEqual({ missing: few, foreign: many }, { missing: [], foreign: [] })
    assert.equal(found.length, expected.length, 'each once')
  }
  const named = (name: string): string => `${target.kind}: ${name}`

  test(named('K1, K2 all is there once, also when it is written again'), { skip }, async () => {
    const sink = open()
    const type = newType()
    const readings = ['a', 'b', 'c'].flatMap((device) => readingsOf(device, 0, 2000))
    for (const part of [readings, readings.slice(1000, 4000), readings]) {
      const report = await sink.write(batchOf(type, part))
      assert.deepEqual(report, { written: part.length, refused: 0, unsupported: 0, refusals: [] })
    }
    await becomes(type, readings)
    await sink.close()
  })

  test(named('K4 awkward names and values come back as they were'), { skip }, async () => {
    const sink = open()
    const type = newType()
    const numbers = [0, -1, 0.1, 1e21, -1.5e-7, 2 ** 53, 1.7976931348623157e308, 2.2e-308]
    const plain = { tenant: 'default', device: 'd', room: '', timeUs: TIME_US }
    const readings: Reading[] = AWKWARD.flatMap((name) => [
      { ...plain, device: name, metric: 'm', value: 1.5 },
      { ...plain, tenant: name, metric: 'm', value: 2.5 },
      { ...plain, room: name, metric: 'm', value: 3.5 },
      { ...plain, metric: name, value: 4.5 },
    ])
    // VictoriaMetrics keeps some 12 digits.
    const exact = target.hasTexts ? numbers : [0, -1, 0.1, 1e21]
    exact.forEach((value, at) => readings.push({ ...plain, metric: `n${at}`, value }))
    const texts: Reading[] = ['', 'a "b" \\ c', 'a\nb\r\nc\td', '\\', 'ä😀', '#', ' , = '].map(
      (value, at) => ({ ...plain, metric: `t${at}`, value }),
    )
    const truths: Reading[] = [true, false].map((value, at) => ({
      ...{ ...plain, metric: `b${at}`, value },
    }))
    const report = await sink.write(batchOf(type, [...readings, ...texts, ...truths]))
    const kept = readings.filter((reading) => !target.refuses(reading))
    assert.deepEqual(
      [report.refused, report.unsupported],
      [readings.length - kept.length, target.hasTexts ? 0 : texts.length],
      JSON.stringify(report.refusals),
    )
    const toStored = ({ value, ...rest }: Reading): Reading => ({ ...rest, value: Number(value) })
    await becomes(type, [
      ...[...kept, ...(target.hasTexts ? texts : [])],
      ...(target.hasTexts ? truths : truths.map(toStored)),
    ])
    await sink.close()
  })

  test(named('awkward types are kept apart'), { skip }, async () => {
    const sink = open()
    const suffix = newType()
    for (const name of ['a b', 'a,b', 'a=b', 'a.b', 'a/b', "a'b", 'a"b', 'a-b', 'a_2e_b']) {
      const report = await sink.write(batchOf(`${name}${suffix}`, readingsOf('d', 0, 2)))
      assert.equal(report.written, 2, name)
    }
    if (target.kind === 'influxdb1') await becomes(`a"b${suffix}`, readingsOf('d', 0, 2))
    if (target.kind === 'questdb') {
      for (const name of ['a.b', 'a_2e_b']) await becomes(name + suffix, readingsOf('d', 0, 2))
    }
    await sink.close()
  })

  const skipKill =
    skip === false && !target.isDurable ? 'it acknowledges before its disk has it' : skip
  test(
    named('K1 killed and back under writes: all is there once'),
    { skip: skipKill },
    async () => {
      const sink = open()
      const type = newType()
      const given: Reading[] = []
      let isOver = false
      const writing = (async () => {
        for (let from = 0; !isOver; from += 50) {
          const readings = readingsOf('d', from, 50)
          const report = await sink.write(batchOf(type, readings))
          assert.equal(report.written, 50, JSON.stringify(report.refusals))
          given.push(...readings)
        }
      })()
      await until('it writes', () => given.length > 200)
      for (let kills = 0; kills < 2; kills++) {
        await killService(target.service)
        const before = given.length
        await delay(300)
        assert.ok(given.length <= before + 50, 'nothing is acknowledged while it is gone')
        await restartService(target.service)
        await until('it goes on by itself', () => given.length > before + 200, 60_000)
      }
      isOver = true
      await writing
      await becomes(type, given)
      await sink.close()
    },
  )

  test(named('K6 wrong passwords are told by name'), { skip }, async () => {
    const wrong = openLineSink({
      ...{ kind: target.kind, url: access!['url']!, database: 'weir' },
      ...{ username: 'weir', password: 'wr0ng-secret' },
      ...{ clock: nodeWorld.clock, random: nodeWorld.random },
    })
    await assert.rejects(wrong.write(batchOf('t', readingsOf('d', 0, 1))), (error: Error) => {
      assert.equal((error as Error & { code: string }).code, 'SINK_REFUSED')
      assert.ok(!error.message.includes('wr0ng'), error.message)
      return true
    })
    await wrong.close()
  })
}

const influx = accessOf('influxdb')
const skipInflux = influx === undefined && 'it does not run: npm run -s cluster:up -- influxdb'
test(
  'influxdb1: K3 a field of another kind is refused; its neighbours are there',
  { skip: skipInflux },
  async () => {
    const sink = openLineSink({
      ...{ kind: 'influxdb1', url: influx!['url']!, database: influx!['database']! },
      ...{ username: influx!['username']!, password: influx!['password']! },
      ...{ clock: nodeWorld.clock, random: nodeWorld.random },
    })
    const type = newType()
    const readings = readingsOf('d', 0, 300)
    await sink.write(batchOf(type, readings.slice(0, 3)))
    const bad = readings.map((reading, at) =>
      at === 150 ? { ...reading, value: 'text' } : reading,
    )
    const report = await sink.write(batchOf(type, bad))
    assert.deepEqual([report.written, report.refused], [299, 1])
    assert.match(report.refusals[0]!.reason, /field type conflict/)
    const expected = readings.filter((_, at) => at !== 150)
    const found = await readInflux(influx!, type)
    assert.deepEqual(found.map(textOf).toSorted(), expected.map(textOf).toSorted())
    await sink.close()
  },
)

test('influxdb1: a database that is not there is told by name', { skip: skipInflux }, async () => {
  const sink = openLineSink({
    ...{ kind: 'influxdb1', url: influx!['url']!, database: 'missing' },
    ...{ username: influx!['username']!, password: influx!['password']! },
    ...{ clock: nodeWorld.clock, random: nodeWorld.random },
  })
  await assert.rejects(sink.write(batchOf('t', readingsOf('d', 0, 1))), { code: 'SINK_REFUSED' })
  await sink.close()
})

const quest = accessOf('questdb')
const skipQuest = quest === undefined && 'it does not run: npm run -s cluster:up -- questdb'
const openQuest = () =>
  openLineSink({
    ...{ kind: 'questdb', url: quest!['url']! },
    ...{ username: quest!['username']!, password: quest!['password']! },
    ...{ clock: nodeWorld.clock, random: nodeWorld.random },
  })
const command = (query: string) => ask(quest!, '/exec', { query })

test(
  'questdb: K2 a table that others made before drops repeats from now on',
  { skip: skipQuest },
  async () => {
    const type = newType()
    await command(`CREATE TABLE ${type} (tenant SYMBOL, temperature DOUBLE, timestamp TIMESTAMP)
    TIMESTAMP(timestamp) PARTITION BY DAY WAL`)
    const readings = readingsOf('d', 0, 100)
    // Two sinks know nothing of each other; the second adds a dimension.
    for (const part of [readings.filter(({ room }) => room === ''), readings, readings]) {
      const sink = openQuest()
      assert.equal((await sink.write(batchOf(type, part))).written, part.length)
      await sink.close()
    }
    await until('all is seen', async () => (await readQuestdb(quest!, type)).length >= 100)
    await delay(500)
    const found = await readQuestdb(quest!, type)
    assert.deepEqual(found.map(textOf).toSorted(), readings.map(textOf).toSorted())
  },
)

test(
  'questdb: K3 a table that does not fit is told, and holds up no other',
  { skip: skipQuest },
  async () => {
    const [bad, good] = [newType(), newType()]
    await command(`CREATE TABLE ${bad} (tenant DOUBLE, timestamp TIMESTAMP)
    TIMESTAMP(timestamp) PARTITION BY DAY WAL`)
    const sink = openQuest()
    const report = await sink.write(batchOf(bad, readingsOf('d', 0, 2)))
    assert.deepEqual([report.written, report.refused], [0, 2])
    assert.match(report.refusals[0]!.reason, /current type=DOUBLE, requested type=SYMBOL/)
    const early = readingsOf('d', 0, 4).map((reading, at) =>
      at === 2 ? { ...reading, timeUs: -1 } : reading,
    )
    const second = await sink.write(batchOf(good, early))
    assert.deepEqual([second.written, second.refused], [3, 1])
    assert.match(second.refusals[0]!.reason, /before 1970/)
    await sink.close()
  },
)
