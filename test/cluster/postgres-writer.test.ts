import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { openPostgresWriter } from '../../src/postgres/writer.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { until } from '../system/weir-process.ts'
import { killService, restartService } from './cluster.ts'
import {
  ask,
  batchOf,
  claimed,
  clean,
  newSchema,
  NOON_US,
  openWriter,
  partialsOf,
  POSTGRES,
  readingsIn,
  seriesName,
  seriesOf,
  skip,
  TOPIC,
  type Row,
} from './postgres-fixture.ts'
import { testWriter } from './postgres-writer.conformance.ts'

after(clean)

testWriter(POSTGRES)

test('P3 who was taken over is fenced, and has written nothing', { skip }, async () => {
  const schema = newSchema()
  const [one, two] = await Promise.all([openWriter(schema), openWriter(schema)])
  const old = await claimed(one)
  const series = seriesOf('pump')
  await one.write(old, batchOf(series, [0, 1], { rows: [[0, NOON_US, 1]] }))
  assert.equal(await two.claim('writer-0'), undefined, 'it is held')
  await ask(
    `SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
     WHERE locktype = 'advisory' AND application_name = 'weir-lease'
       AND objid = (hashtextextended('${schema}writer-0', 0) & 4294967295)::text::bigint::oid`,
  )
  await until('the holder hears of it', () => old.lost.aborted, 5000)
  // Nobody else claimed it, so it may go on.
  const { isWritten } = await one.write(
    old,
    batchOf(series, [1, 2], { rows: [[0, NOON_US + 1, 2]] }),
  )
  assert.equal(isWritten, true)
  const heir = await claimed(two)
  assert.equal(heir.epoch, old.epoch + 1)
  const before = await readingsIn(schema)
  // With a known series the transaction with the rows is the one that is refused.
  const known = batchOf(series, [2, 3], { rows: [[0, NOON_US + 2, 3]] })
  await assert.rejects(one.write(old, known), { code: 'STORAGE_FENCED' })
  series.add(seriesName('new'))
  const late = batchOf(series, [2, 3], {
    ...{ rows: [[0, NOON_US + 2, 3] satisfies Row] },
    coverage: [{ generation: 1, partition: 0, partitions: 1, fromMs: 0, watermarkMs: 1 }],
  })
  await assert.rejects(one.write(old, late), { code: 'STORAGE_FENCED' })
  assert.deepEqual(await readingsIn(schema), before)
  assert.deepEqual(await one.offsets(TOPIC), new Map([[0, 2]]))
  assert.equal((await ask(`SELECT * FROM ${schema}.series`)).length, 1)
  assert.equal((await ask(`SELECT * FROM ${schema}.coverage`)).length, 0)
  await two.write(heir, batchOf(seriesOf('pump'), [2, 3], { rows: [[0, NOON_US + 2, 4]] }))
  await heir.release()
  assert.equal((await claimed(one)).epoch, heir.epoch + 1)
})

test(
  'P1 kill -9 of PostgreSQL amid writes: rows and offsets stay together',
  { skip, timeout: 120_000 },
  async () => {
    const schema = newSchema()
    const writer = await openWriter(schema)
    const reference = new Map<string, number>()
    const rowsOf = (partition: number, batch: number): Row[] =>
      Array.from({ length: 500 }, (_, row): Row => {
        // Some come again: at once, and in later batches.
        const spot = (batch * 400 + row * 7) % (batch * 400 + 500)
        return [row % 5, NOON_US + spot * 1000, partition * 1e6 + batch * 1000 + row]
      })
    let writtenBatches = 0
    const deadlineMs = performance.now() + 90_000
    let restarting: Promise<void> | undefined
    const failures = new Set<string>()
    const batches = await Promise.all(
      [0, 1].map(async (partition) => {
        const lease = await claimed(writer, `writer-${partition}`)
        const names = [0, 1, 2, 3, 4].map((number) => `device-${partition}-${number}`)
        const series = seriesOf(...names)
        let next = 0
        while (writtenBatches < 260 && performance.now() < deadlineMs) {
          const rows = rowsOf(partition, next)
          const batch = batchOf(series, [next, next + 1], { partition, rows })
          try {
            next = (await writer.write(lease, batch)).nextOffset
            if (++writtenBatches === 60 || writtenBatches === 150) {
              restarting = killService('postgres').then(() => restartService('postgres'))
            }
          } catch (error) {
            failures.add((error as { code: string }).code)
            await delay(50)
          }
        }
        return { partition, names, next }
      }),
    )
    await restarting
    assert.ok(writtenBatches >= 260, 'it goes on by itself')
    const offsets = await writer.offsets(TOPIC)
    for (const { partition, names } of batches) {
      for (let batch = 0; batch < offsets.get(partition)!; batch++) {
        for (const [index, timeUs, value] of rowsOf(partition, batch)) {
          const key = `${names[index]} ${timeUs}`
          if (!reference.has(key)) reference.set(key, value)
        }
      }
    }
    assert.deepEqual([...failures], ['STORAGE_UNAVAILABLE'])
    const expected = [...reference].map(([key, value]) => `${key} ${value}`).toSorted()
    assert.deepEqual((await readingsIn(schema)).toSorted(), expected)
  },
)

test('months are made on demand, by two writers at once, beside retention', { skip }, async () => {
  const schema = newSchema()
  const writers = await Promise.all([openWriter(schema), openWriter(schema)])
  const months = Array.from({ length: 12 }, (_, month) => Date.UTC(2001, month, 5) * 1000)
  const writing = writers.map(async (writer, partition) => {
    const lease = await claimed(writer, `writer-${partition}`)
    const series = seriesOf(`device-${partition}`)
    for (const [offset, timeUs] of months.entries()) {
      const rows: Row[] = [
        [0, timeUs, 1],
        [0, NOON_US + offset, 2],
      ]
      const partials = partialsOf([[0, 60_000, timeUs / 1000, 0, 1, 1]])
      const offsets: [number, number] = [offset, offset + 1]
      const batch = batchOf(series, offsets, { partition, rows, partials })
      assert.equal((await writer.write(lease, batch)).isWritten, true)
      // What goes meanwhile is made anew when it is needed again.
      if (partition === 0) await writer.dropBefore(Date.UTC(2001, offset + 1))
    }
  })
  await Promise.all(writing)
  await writers[0].dropBefore(Date.UTC(2001, 11))
  const left = await readingsIn(schema)
  assert.equal(left.filter((row) => row.endsWith(' 2')).length, 24)
  const december = left.filter((row) => row.includes(` ${months[11]} `))
  // The last month may be gone by a drop that ran before the other writer's row.
  assert.ok(december.length <= 2 && left.length === 24 + december.length)
  const tables = await ask(
    `SELECT relname FROM pg_class WHERE relnamespace = '${schema}'::regnamespace
     AND relname ~ '_2001_(0\\d|10|11)' AND relkind IN ('r', 'p')`,
  )
  assert.deepEqual(tables, [])
})

test('retention drops whole months, and what was cut half way', { skip }, async () => {
  const schema = newSchema()
  const writer = await openWriter(schema)
  const lease = await claimed(writer)
  const series = seriesOf('pump')
  const times = [Date.UTC(2024, 0, 31), Date.UTC(2024, 1, 1), Date.UTC(2024, 2, 1)]
  const rows = times.map((ms): Row => [0, ms * 1000, 1])
  const partials = partialsOf(times.map((ms) => [0, 60_000, ms, 0, 1, 1]))
  await writer.write(lease, batchOf(series, [0, 1], { rows, partials }))
  await ask(`ALTER TABLE ${schema}.reading DETACH PARTITION ${schema}.reading_2024_01`)
  assert.equal(await writer.dropBefore(Date.UTC(2024, 1, 29)), 2)
  assert.equal((await readingsIn(schema)).length, 2)
  assert.equal((await ask(`SELECT * FROM ${schema}.window_partial`)).length, 2)
  // A late reading of what is gone; a month that was detached and not dropped.
  await ask(`ALTER TABLE ${schema}.reading DETACH PARTITION ${schema}.reading_2024_02`)
  await writer.write(lease, batchOf(series, [1, 2], { rows }))
  assert.equal((await readingsIn(schema)).length, 3)
})

test('a server that is not there is named, and its password is not', async () => {
  const place = { url: 'postgresql://weir:s3cr3t@127.0.0.1:1/weir', schema: 'weir' }
  const opening = openPostgresWriter({ place, clock: nodeWorld.clock })
  await assert.rejects(opening, (error: Error & { code?: string }) => {
    assert.equal(error.code, 'STORAGE_UNAVAILABLE')
    assert.match(error.message, /127\.0\.0\.1:1/)
    assert.doesNotMatch(error.message, /s3cr3t/)
    return true
  })
})
