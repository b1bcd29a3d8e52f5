/** `POST /v1/sql` of a control process: months in a lake on MinIO, the rest in PostgreSQL. */
import assert from 'node:assert/strict'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { deviceKey, hashKey } from '../../src/entries/entries.ts'
import { SeriesIds } from '../../src/postgres/postgres.ts'
import { assertRefused } from '../system/sql-attacks.ts'
import { makeFolder, until, WeirProcess } from '../system/weir-process.ts'
import { createBucket, minio, REGION, skip as skipMinio } from './buckets.ts'
import { newTopic, skip as skipKafka } from './kafka-fixture.ts'
import { spawnCluster } from './lake-role-fixture.ts'
import {
  ask,
  batchOf,
  claimed,
  clean,
  openWriter,
  seriesName,
  skip as skipPostgres,
  type Row,
} from './postgres-fixture.ts'

const skip = skipKafka ?? skipMinio ?? skipPostgres
const folder = await makeFolder({ after })
after(clean)

const DEVICES = ['pump-1', 'pump-2']
const START_MS = Date.UTC(2023, 0, 1)
const HOUR_MS = 3_600_000
/** Three months that go to the lake. */
const HOURS = 90 * 24
/** A minute each, up to now. */
const RECENT = 60
const RECENT_MS = Math.floor(Date.now() / 60_000) * 60_000 - RECENT * 60_000

async function fill(schema: string): Promise<void> {
  const writer = await openWriter(schema)
  const lease = await claimed(writer)
  const series = new SeriesIds()
  for (const device of DEVICES) {
    series.add(seriesName(device, { deviceHash: hashKey(deviceKey('default', device)) }))
  }
  const each = (count: number, startMs: number, stepMs: number): Row[] =>
    Array.from({ length: count }, (_, at) => at).flatMap((at) =>
      DEVICES.map((_, device): Row => [device, (startMs + at * stepMs) * 1000, at + device / 2]),
    )
  const rows = [...each(HOURS, START_MS, HOUR_MS), ...each(RECENT, RECENT_MS, 60_000)]
  await writer.write(lease, batchOf(series, [0, 1], { rows }))
}

test(
  'a control process answers SQL over PostgreSQL and the lake, and nothing else',
  { skip },
  async () => {
    const prefix = newTopic()
    const schema = prefix.replaceAll('-', '_')
    const bucket = await createBucket()
    // What a killed process left behind.
    const spill = join(folder, 'data', 'spill')
    await mkdir(spill, { recursive: true })
    await writeFile(join(spill, 'statement-0-series'), 'old')
    try {
      await fill(schema)
      const { endpoint, accessKey, secretKey } = minio
      const settings = {
        lake: { bucket, endpoint, region: REGION, accessKey, secretKey },
        query: { sqlReadingsMax: HOURS + 100, sqlRowsMax: 5000, sqlTimeout: '10s' },
      }
      const how = { prefix, roles: 'writer,control', settings }
      const weir = await WeirProcess.ready(await spawnCluster(folder, how), folder)
      assert.deepEqual(await readdir(spill), [])
      await weir.register({ id: 'pump-1', type: 'generic' })
      await until(
        'the months have moved',
        async () => {
          const rows = await ask(`SELECT count(*)::integer AS rows FROM ${schema}.reading`)
          return rows[0]!['rows'] === RECENT * DEVICES.length
        },
        60_000,
      )
      const answer = async (sql: string): Promise<unknown[][]> => {
        const { status, body, text } = await weir.api<{ rows: unknown[][] }>('/v1/sql', {
          body: { sql },
        })
        assert.equal(status, 200, `${sql}: ${text}\n${weir.running.output}`)
        return body.rows
      }
      const whole = `SELECT epoch_ms(ts), value FROM telemetry WHERE device_id = 'pump-2' ORDER BY ts`
      const expected = [
        ...Array.from({ length: HOURS }, (_, at) => [START_MS + at * HOUR_MS, at + 0.5]),
        ...Array.from({ length: RECENT }, (_, at) => [RECENT_MS + at * 60_000, at + 0.5]),
      ]
      assert.deepEqual(await answer(whole), expected)
      const february = `SELECT device_id, count(*), min(value), max(value) FROM telemetry
      WHERE ts >= '2023-02-01' AND ts < '2023-03-01' GROUP BY 1 ORDER BY 1`
      const first = 31 * 24
      const last = first + 28 * 24 - 1
      assert.deepEqual(await answer(february), [
        ['pump-1', 28 * 24, first, last],
        ['pump-2', 28 * 24, first + 0.5, last + 0.5],
      ])
      const recent = `SELECT count(*) FROM telemetry t JOIN devices d USING (device_id)
      WHERE t.ts >= now() - INTERVAL '1 day' AND d.type = 'generic'`
      assert.deepEqual(await answer(recent), [[RECENT]])
      assert.deepEqual(await answer('SELECT device_id, type FROM devices'), [['pump-1', 'generic']])
      assert.deepEqual(await answer('SELECT count(*) FROM alerts'), [[0]])
      assert.deepEqual(await answer('SELECT count(*) FROM aggregations'), [[0]])
      const tooMuch = await weir.api<{ code: string; detail: string }>('/v1/sql', {
        body: { sql: 'SELECT count(*) FROM telemetry' },
      })
      assert.deepEqual([tooMuch.status, tooMuch.body.code], [422, 'QUERY_LIMIT_EXCEEDED'])
      assert.match(tooMuch.body.detail, /narrow ts, device_id or metric/)
      await assertRefused(weir)
      assert.deepEqual(await readdir(spill), [])
      await weir.stop()
      assert.equal(weir.running.child.exitCode, 0, weir.running.output)
    } finally {
      await ask(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    }
  },
)
