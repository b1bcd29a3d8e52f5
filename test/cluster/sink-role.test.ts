/** Readings through Kafka into a real InfluxDB: once, whatever is killed. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { topicName } from '../../src/entries/entries.ts'
import type { Kafka } from '../../src/kafka/kafka.ts'
import { makeFolder, until, WeirProcess } from '../system/weir-process.ts'
import { accessOf, killService, restartService } from './cluster.ts'
import { skip as skipFlink } from './flink-fixture.ts'
import { cancelJob } from './flink-section.ts'
import { newTopic, open, skip as skipKafka } from './kafka-fixture.ts'
import {
  appendMessages,
  createReadingsTopic,
  PARTITIONS,
  rowsUpTo,
  spawnCluster,
} from './lake-role-fixture.ts'
import { ask as askPostgres, skip as skipPostgres } from './postgres-fixture.ts'
import { readInflux } from './sink-targets.ts'

const influx = accessOf('influxdb')
const skipInflux =
  influx === undefined ? 'InfluxDB does not run: npm run -s cluster:up -- influxdb' : undefined
const skip = skipKafka ?? skipPostgres ?? skipInflux ?? skipFlink
const MESSAGES_AT_ONCE = 100
const KILLS = 4

const folder = await makeFolder({ after })
const kafka: Kafka | undefined = skip === undefined ? await open() : undefined
const prefixes: string[] = []
const schemaOf = (prefix: string): string => prefix.replaceAll('-', '_')
after(async () => {
  await kafka?.close()
  for (const prefix of prefixes) await cancelJob(prefix)
  for (const prefix of prefixes) await askPostgres(`DROP SCHEMA ${schemaOf(prefix)} CASCADE`)
})

/** Topics, a schema and a database of its own. */
class SinkInstallation {
  readonly prefix = newTopic()
  readonly access = { ...influx, database: schemaOf(this.prefix) }

  static async make(): Promise<SinkInstallation> {
    const made = new SinkInstallation()
    prefixes.push(made.prefix)
    await command(`CREATE DATABASE ${made.access.database}`)
    await createReadingsTopic(kafka!, made)
    return made
  }

  async start(name: string, roles: string, sink: Record<string, unknown> = {}) {
    const { url = '', username = '', password = '' } = influx!
    const { database } = this.access
    const target = { kind: 'influxdb1', url, database, username, password, ...sink }
    const at = `${folder}/${name}`
    const { prefix } = this
    return WeirProcess.ready(
      await spawnCluster(at, { prefix, roles, settings: { sink: target } }),
      at,
    )
  }

  append(from: number, to: number): Promise<void> {
    return appendMessages(kafka!, this, [from, to])
  }

  /** As `rowsUpTo` has them. */
  async rows(): Promise<string[]> {
    const readings = await readInflux(this.access, 'generic')
    return readings
      .map(({ device, metric, timeUs, value }) => {
        const shown = typeof value === 'string' ? [null, value] : [Number(value), null]
        return JSON.stringify([device, metric, timeUs, ...shown])
      })
      .toSorted()
  }

  /** Until the offsets are those of the topic's end. */
  async untilWritten(): Promise<void> {
    const topic = topicName(this.prefix, 'readings')
    const ends: number[] = []
    for (let partition = 0; partition < PARTITIONS; partition++) {
      ends.push((await kafka!.bounds(topic, partition)).nextOffset)
    }
    const question = `SELECT partition, next_offset FROM ${schemaOf(this.prefix)}.writer_offset
      WHERE topic = 'sink:${topic}'`
    await until(
      'all is written',
      async () => {
        const offsets = await askPostgres(question)
        const isAt = (end: number, partition: number): boolean =>
          offsets.some(
            (row) => row['partition'] === partition && Number(row['next_offset']) === end,
          )
        return ends.every(isAt)
      },
      60_000,
    )
  }
}

async function command(q: string): Promise<void> {
  const { url = '', username = '', password = '' } = influx!
  const headers = { authorization: `Basic ${btoa(`${username}:${password}`)}` }
  const body = new URLSearchParams({ q })
  const answer = await fetch(`${url}/query`, { method: 'POST', headers, body })
  assert.equal(answer.status, 200, await answer.text())
}

test('what a device sends is in InfluxDB, once; all roles open it', { skip }, async () => {
  const of = await SinkInstallation.make()
  const process = await of.start('all', 'all')
  const token = await process.register({ id: 'pump-1' })
  const sent: string[] = []
  const startMs = Date.now() - 60_000
  for (let at = 0; at < 50; at++) {
    const ms = startMs + at * 1000
    const message = { ts: new Date(ms).toISOString(), metrics: { temperature: at / 2 } }
    const { status, text } = await process.api('/v1/telemetry', { token, body: message })
    assert.equal(status, 200, text)
    sent.push(JSON.stringify(['pump-1', 'temperature', ms * 1000, at / 2, null]))
  }
  await until('it is there', async () => (await of.rows()).length >= sent.length, 60_000)
  assert.equal(await process.metric('weir_sink_readings_total'), sent.length)
  const isStored = async (): Promise<boolean> =>
    (await process.points('pump-1', 'temperature')).length === sent.length
  await until('PostgreSQL has them, too', isStored, 60_000)
  assert.equal((await process.stop()).code, 0)
  assert.deepEqual(await of.rows(), sent.toSorted())
})

test('role and database are killed again and again: all is there once', { skip }, async () => {
  const of = await SinkInstallation.make()
  let count = 0
  let isOver = false
  const appending = (async () => {
    for (; !isOver; count += MESSAGES_AT_ONCE) {
      await of.append(count, count + MESSAGES_AT_ONCE)
      await delay(200)
    }
  })()
  try {
    for (let kills = 0; kills < KILLS; kills++) {
      const process = await of.start('kill', 'sink')
      const written = (): Promise<number> => process.metric('weir_sink_readings_total')
      await until('it writes', async () => (await written()) > 0, 60_000)
      if (kills % 2 === 1) {
        await killService('influxdb')
        await delay(500)
        const before = await written()
        await delay(1000)
        assert.equal(await written(), before, 'nothing is acknowledged while it is gone')
        if (kills === 1) await restartService('influxdb')
        if (kills === 1)
          await until('it goes on by itself', async () => (await written()) > before, 60_000)
      }
      await delay(kills * 130)
      await process.kill()
      // The last one ended while it waited.
      if (kills === KILLS - 1) await restartService('influxdb')
    }
  } finally {
    isOver = true
    await appending
  }
  const process = await of.start('kill', 'sink')
  await of.untilWritten()
  assert.equal((await process.stop()).code, 0)
  assert.deepEqual(await of.rows(), rowsUpTo(count))
})

test(
  'readings that it does not take are counted and told, and hold up no other',
  { skip },
  async () => {
    const of = await SinkInstallation.make()
    await of.append(0, 10)
    // The field is a number here already, and a boolean comes.
    const { url = '', username = '', password = '' } = influx!
    const headers = { authorization: `Basic ${btoa(`${username}:${password}`)}` }
    const place = `${url}/write?db=${of.access.database}&precision=u`
    const line = 'generic,tenant=default,device_id=other running=1 1785541800000000'
    assert.equal((await fetch(place, { method: 'POST', headers, body: line })).status, 204)
    const process = await of.start('refused', 'sink')
    await of.untilWritten()
    // A line is refused as a whole.
    assert.equal(await process.metric('weir_sink_refused_total'), 30)
    assert.match(process.running.stderr, /sink_refused.*field type conflict/)
    await process.stop()
  },
)

test('it begins with what Kafka has, and tells what it missed since', { skip }, async () => {
  const of = await SinkInstallation.make()
  const topic = topicName(of.prefix, 'readings')
  const forget = async (): Promise<void> => {
    const { nextOffset } = await kafka!.bounds(topic, 0)
    await kafka!.deleteBefore(topic, 0, nextOffset)
  }
  await of.append(0, 100)
  await forget()
  await of.append(100, 200)
  const first = await of.start('begin', 'sink')
  await of.untilWritten()
  await first.stop()
  assert.doesNotMatch(first.running.stderr, /entries_lost/)
  assert.ok((await of.rows()).length >= 300)
  await of.append(200, 300)
  await forget()
  await of.append(300, 400)
  const second = await of.start('begin', 'sink')
  await of.untilWritten()
  await second.stop()
  assert.match(second.running.stderr, /entries_lost/)
})

test('settings that cannot be are told at the start', { skip }, async () => {
  const { prefix } = await SinkInstallation.make()
  for (const [sink, told] of [
    [{ kind: 'off' }, /sink\.kind: off/],
    [{ kind: 'influxdb1', url: 'http://127.0.0.1:1' }, /database/],
    [{ kind: 'questdb' }, /url/],
  ] as const) {
    const at = `${folder}/wrong`
    const running = await spawnCluster(at, { prefix, roles: 'sink', settings: { sink } })
    assert.equal(await running.end(), 2, running.output)
    assert.match(running.stderr, told)
  }
})
