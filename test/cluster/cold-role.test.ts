/** Two years in PostgreSQL go to a lake on MinIO; the process that moves them is killed. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { deviceKey, hashKey } from '../../src/entries/entries.ts'
import { askLake } from '../../src/lake/lake-fixture.ts'
import { SeriesIds } from '../../src/postgres/postgres.ts'
import { makeFolder, until, WeirProcess } from '../system/weir-process.ts'
import { createBucket, minio, openBucket, REGION, skip as skipMinio } from './buckets.ts'
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
/** Two years of hours. */
const HOURS = 2 * 365 * 24
const KILLS = 3

async function fill(schema: string): Promise<void> {
  const writer = await openWriter(schema)
  const lease = await claimed(writer)
  const series = new SeriesIds()
  for (const device of DEVICES) {
    series.add(seriesName(device, { deviceHash: hashKey(deviceKey('default', device)) }))
  }
  const rows: Row[] = Array.from({ length: HOURS }, (_, hour) => hour).flatMap((hour) =>
    DEVICES.map((_, at): Row => [at, (START_MS + hour * HOUR_MS) * 1000, hour + at / 2]),
  )
  await writer.write(lease, batchOf(series, [0, 1], { rows }))
}

test('kill -9 while two years go to MinIO: answers stay as they were', { skip }, async () => {
  const prefix = newTopic()
  const schema = prefix.replaceAll('-', '_')
  const bucket = await createBucket()
  const objects = openBucket(bucket)
  try {
    await fill(schema)
    const rowsLeft = async (): Promise<number> => {
      const [row] = await ask(`SELECT count(*)::integer AS rows FROM ${schema}.reading`)
      return Number(row!['rows'])
    }
    const filesThere = async (): Promise<number> => {
      const [row] = await ask(`SELECT count(*)::integer AS files FROM ${schema}.cold_file`)
      return Number(row!['files'])
    }
    const start = async (): Promise<WeirProcess> => {
      const { endpoint, accessKey, secretKey } = minio
      const lake = { bucket, endpoint, region: REGION, accessKey, secretKey }
      const how = { prefix, roles: 'writer,control', settings: { lake } }
      return WeirProcess.ready(await spawnCluster(folder, how), folder)
    }
    for (let kill = 1; kill <= KILLS; kill++) {
      const process = await start()
      // Each gets a little further.
      await until('it moves', async () => (await filesThere()) >= kill * 5, 60_000)
      await process.kill()
    }
    const process = await start()
    await Promise.all(DEVICES.map((id) => process.register({ id })))
    await until('all has moved', async () => (await rowsLeft()) === 0, 60_000)
    for (const [at, device] of DEVICES.entries()) {
      for (const fromHour of [0, HOURS / 2]) {
        const hours = Array.from({ length: HOURS / 2 }, (_, hour) => fromHour + hour)
        const { points, meta } = await process.get<{
          points: unknown[]
          meta: Record<string, unknown>
        }>('/v1/query', {
          ...{ device_id: device, metric: 'temperature', max_points: HOURS / 2 },
          start: START_MS + fromHour * HOUR_MS,
          end: START_MS + (fromHour + HOURS / 2) * HOUR_MS,
        })
        const expected = hours.map((hour) => [START_MS + hour * HOUR_MS, hour + at / 2])
        assert.deepEqual(points, expected)
        const { tiers, segments_read, segments_skipped, completeness } = meta
        assert.deepEqual(
          [tiers, segments_read, segments_skipped, completeness],
          [['cold'], 12, 12, 1],
        )
      }
    }
    await process.stop()
    const [row] = await askLake(
      objects,
      'SELECT count(*)::integer, count(DISTINCT (device_id, "time"))::integer FROM lake',
    )
    assert.deepEqual(row, [HOURS * 2, HOURS * 2], 'nothing is there twice')
  } finally {
    objects.close()
    await ask(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  }
})
