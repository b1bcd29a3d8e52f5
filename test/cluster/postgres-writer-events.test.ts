import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { DEAD_LETTERS_PER_DEVICE_MAX } from '../../src/batch/batch.ts'
import type { Coverage, TopicDeadLetter, WriterBatch } from '../../src/postgres/postgres.ts'
import type { AnomalyEvent } from '../../src/stream/stream.ts'
import { ask, batchOf, clean, newSchema, openWriter, seriesOf, skip } from './postgres-fixture.ts'

after(clean)

/** Writes what a batch holds besides readings, one batch after the other. */
async function openEvents(
  schema: string,
): Promise<(part: Partial<WriterBatch>) => Promise<number>> {
  const writer = await openWriter(schema)
  const lease = (await writer.claim('events'))!
  const series = seriesOf('pump', 'fan')
  let next = 0
  return async (part) => {
    const result = await writer.write(lease, batchOf(series, [next, next + 1], part))
    next = result.nextOffset
    return result.refusedAnomalies
  }
}

/** As version 4 left them. */
const OLD_ALERTS = `
  CREATE TABLE alert (
    id TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    device_id TEXT COLLATE "C" NOT NULL,
    triggered_at_us BIGINT NOT NULL
  );
  CREATE INDEX alert_by_time ON alert (tenant, triggered_at_us);
  CREATE INDEX alert_by_device ON alert (tenant, device_id, triggered_at_us);
  INSERT INTO alert VALUES ('a', 'default', 'pump', 10);
  -- What later steps made.
  DROP TABLE cold_pending, cold_run, cold_file, cold_month, complete_from, exported;
  DROP TABLE erasure, erasure_version, erased_file, erased_rows, instance_key, tombstone;
  DROP TABLE hour_rollup, fleet, fleet_rollup, late_hour, late_fleet_hour, rollup_progress;
  DROP TABLE history_day;
  ALTER TABLE writer_offset DROP COLUMN newest_ms;
  DROP SEQUENCE cold_number;
  DROP FUNCTION refuse_row;
  UPDATE storage_version SET version = 4;
`

test('alerts of before are dropped, with their indices, and nothing else', { skip }, async () => {
  const schema = newSchema()
  const relations = async (): Promise<unknown[]> => {
    const rows = await ask(`SELECT relname FROM pg_class
      WHERE relnamespace = '${schema}'::regnamespace ORDER BY relname`)
    return rows.map(({ relname }) => relname)
  }
  await (await openWriter(schema)).close()
  const fresh = await relations()
  assert.ok(fresh.includes('anomaly_by_time'))
  assert.deepEqual(
    fresh.filter((name) => /^(alert|stream_)/.test(String(name))),
    [],
  )
  await ask(`SET search_path = ${schema}; ${OLD_ALERTS}`)
  const names = await relations()
  assert.ok(names.includes('alert_by_device') && !names.includes('cold_file'))
  await openWriter(schema)
  assert.deepEqual(await relations(), fresh)
})

test('an anomaly is there once; one without a finite score never', { skip }, async () => {
  const schema = newSchema()
  const write = await openEvents(schema)
  const anomaly = (id: string, score: number): Omit<AnomalyEvent, 'series'> => ({
    ...{ id, tenant: 'default', detectorId: 'z', deviceId: 'pump', metric: 'temperature' },
    ...{ eventTimeUs: 5, value: -1.5, score },
  })
  await write({ anomalies: [anomaly('a', 4), anomaly('a', 4)] })
  assert.equal(await write({ anomalies: [anomaly('a', 4), anomaly('b', Infinity)] }), 1)
  assert.deepEqual(await ask(`SELECT id, event_time_us, value, score FROM ${schema}.anomaly`), [
    { id: 'a', event_time_us: '5', value: -1.5, score: 4 },
  ])
})

test('dirty ranges are there once, coverage never goes back', { skip }, async () => {
  const schema = newSchema()
  const write = await openEvents(schema)
  const range = { series: 1, fromMs: 60_000, toMs: 120_000 }
  await write({ dirty: [range, range] })
  await write({ dirty: [range, { ...range, series: 0 }] })
  assert.equal((await ask(`SELECT * FROM ${schema}.dirty_range`)).length, 2)
  const three = { generation: 1, partition: 3, partitions: 4 }
  const steps: [Coverage, [number, number]][] = [
    [{ ...three, fromMs: undefined, watermarkMs: 100 }, [101, 100]],
    [{ ...three, fromMs: undefined, watermarkMs: 200 }, [101, 200]],
    [{ ...three, fromMs: 50, watermarkMs: 150 }, [101, 200]],
    [{ ...three, fromMs: 150, watermarkMs: 300 }, [150, 300]],
  ]
  for (const [coverage, [from, watermark]] of steps) {
    await write({ coverage: [coverage] })
    assert.deepEqual(await ask(`SELECT * FROM ${schema}.coverage`), [
      { ...three, from_ms: String(from), watermark_ms: String(watermark) },
    ])
  }
})

test('a partition goes on with the coverage of the one it was a part of', { skip }, async () => {
  const schema = newSchema()
  const write = await openEvents(schema)
  const add = (generation: number, partitions: number, of: [number, number][]): Promise<unknown> =>
    write({
      coverage: of.map(([partition, watermarkMs]) => ({
        ...{ generation, partitions, partition, fromMs: undefined, watermarkMs },
      })),
    })
  await add(1, 2, [
    [0, 100],
    [1, 200],
  ])
  await add(2, 4, [
    [3, 300],
    [2, 400],
  ])
  await add(2, 4, [[3, 500]])
  // Of the partition 0 in the generation between nothing was said.
  await add(3, 8, [[4, 600]])
  const rows = await ask(
    `SELECT partition, from_ms, watermark_ms FROM ${schema}.coverage WHERE generation > 1
     ORDER BY partition`,
  )
  assert.deepEqual(
    rows.map((row) => Object.values(row).map(Number)),
    [
      [2, 101, 400],
      [3, 201, 500],
      [4, 101, 600],
    ],
  )
})

test('of each device the newest dead letters are kept', { skip }, async () => {
  const schema = newSchema()
  const write = await openEvents(schema)
  const letter = (deviceId: string, offset: number): TopicDeadLetter => ({
    ...{ tenant: 'default', deviceId, partition: 0, offset, receivedAtUs: offset },
    ...{ code: 'TELEMETRY_JSON_INVALID', detail: `it's "wrong"`, payload: 'a\0b{' },
  })
  await write({ deadLetters: [letter('fan', 0), letter('fan', 0)] })
  for (let batch = 0; batch < 20; batch++) {
    const deadLetters = Array.from({ length: 100 }, (_, at) => letter('pump', 1 + batch * 100 + at))
    await write({ deadLetters })
  }
  const rows = await ask(
    `SELECT device_id, count(*)::int AS count, max(topic_offset)::int AS newest,
       min(detail || payload) AS text
     FROM ${schema}.dead_letter GROUP BY device_id ORDER BY device_id`,
  )
  assert.deepEqual(rows[0], {
    device_id: 'fan',
    count: 1,
    newest: 0,
    text: `it's "wrong"a\uFFFDb{`,
  })
  const count = Number(rows[1]!['count'])
  assert.ok(
    count >= DEAD_LETTERS_PER_DEVICE_MAX && count <= DEAD_LETTERS_PER_DEVICE_MAX * 1.25 + 100,
  )
  assert.equal(rows[1]!['newest'], 2000)
})
