/**
 * What a writer must do on every server that it writes to, whatever its tables are cut by. An
 * adapter's test calls `testWriter` with its server.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeriesIds } from '../../src/postgres/postgres.ts'
import { openPostgresWriter } from '../../src/postgres/writer.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import {
  batchOf,
  claimed,
  NOON_US,
  partialsOf,
  seriesName,
  seriesOf,
  TOPIC,
  type Row,
  type TestServer,
} from './postgres-fixture.ts'

type Promised = (name: string, run: (server: TestServer) => Promise<void>) => void

export function testWriter(server: TestServer): void {
  const promise: Promised = (name, run) => {
    test(`${name} [${server.name}]`, { skip: server.skip ?? false }, () => run(server))
  }
  testTransactions(promise)
  testRows(promise)
  testPartials(promise)
  testTables(promise)
}

function testTransactions(promise: Promised): void {
  promise(
    'P1 what fails at the end of a batch takes its readings back',
    async ({ ask, newSchema, openWriter, readingsIn }) => {
      const schema = newSchema()
      const writer = await openWriter(schema)
      const lease = await claimed(writer)
      const series = seriesOf('pump')
      await ask(`CREATE UNIQUE INDEX one_each ON ${schema}.coverage (watermark_ms)`)
      const batch = batchOf(series, [0, 1], {
        rows: [[0, NOON_US, 1]],
        coverage: [0, 1].map((partition) => ({
          ...{ generation: 1, partition, partitions: 2, fromMs: 0, watermarkMs: 9 },
        })),
      })
      await assert.rejects(writer.write(lease, batch), { code: '23505' })
      assert.deepEqual(await readingsIn(schema), [])
      assert.deepEqual(await writer.offsets(TOPIC), new Map())
      await ask(`DROP INDEX ${schema}.one_each`)
      assert.equal((await writer.write(lease, batch)).isWritten, true)
      assert.deepEqual(await readingsIn(schema), [`pump ${NOON_US} 1`])
      assert.deepEqual(await writer.offsets(TOPIC), new Map([[0, 1]]))
    },
  )

  promise(
    'P3 who holds a lease that was claimed again has written nothing',
    async ({ newSchema, openWriter, readingsIn }) => {
      const schema = newSchema()
      const writer = await openWriter(schema)
      const old = await claimed(writer)
      const heir = await claimed(writer)
      const series = seriesOf('pump')
      const batch = batchOf(series, [0, 1], { rows: [[0, NOON_US, 1]] })
      await writer.write(heir, batch)
      const late = batchOf(series, [1, 2], { rows: [[0, NOON_US + 1, 2]] })
      await assert.rejects(writer.write(old, late), { code: 'STORAGE_FENCED' })
      assert.deepEqual(await readingsIn(schema), [`pump ${NOON_US} 1`])
      assert.deepEqual(await writer.offsets(TOPIC), new Map([[0, 1]]))
    },
  )
}

function testRows(promise: Promised): void {
  promise(
    'P2 the first write wins: in a batch, between batches, between writers',
    async ({ newSchema, openWriter, readingsIn }) => {
      const schema = newSchema()
      const [one, two] = await Promise.all([openWriter(schema), openWriter(schema)])
      const [a, b] = [await claimed(one, 'a'), await claimed(two, 'b')]
      const series = seriesOf('pump', 'fan')
      const inBatch: Row[] = [
        ...([
          [0, NOON_US, 1],
          [1, NOON_US, 5],
          [0, NOON_US, 2],
        ] satisfies Row[]),
        [0, NOON_US + 1, 3],
      ]
      const first = await one.write(a, batchOf(series, [0, 4], { rows: inBatch }))
      assert.deepEqual([first.isWritten, first.duplicates], [true, 1])
      const again: Row[] = [
        [0, NOON_US + 1, 9],
        [0, NOON_US + 2, 4],
      ]
      const second = await one.write(a, batchOf(series, [4, 6], { rows: again }))
      assert.deepEqual([second.isWritten, second.duplicates], [true, 1])
      const other = seriesOf('fan', 'pump')
      const third = await two.write(
        b,
        batchOf(other, [0, 9], {
          partition: 1,
          rows: [
            [0, NOON_US, 6],
            [1, NOON_US + 9, 7],
          ],
        }),
      )
      assert.equal(third.duplicates, 1)
      const expected = ['fan 0 5', 'pump 0 1', 'pump 1 3', 'pump 2 4', 'pump 9 7']
      assert.deepEqual(
        (await readingsIn(schema)).map((row) =>
          row.replace(/ (\d+) /, (_, us) => ` ${us - NOON_US} `),
        ),
        expected,
      )
    },
  )

  promise(
    'P4 a batch that does not begin where the last one ended is not written',
    async ({ newSchema, openWriter, readingsIn }) => {
      const schema = newSchema()
      const writer = await openWriter(schema)
      const lease = await claimed(writer)
      const series = seriesOf('pump')
      const batch = batchOf(series, [100, 110], { rows: [[0, NOON_US, 1]] })
      assert.equal((await writer.write(lease, batch)).isWritten, true)
      // As after a connection that broke behind COMMIT.
      const again = await writer.write(lease, batch)
      assert.deepEqual([again.isWritten, again.nextOffset], [false, 110])
      for (const offsets of [
        [105, 120],
        [111, 120],
      ] satisfies [number, number][]) {
        const rows: Row[] = [[0, NOON_US + 1, 2]]
        const wrong = await writer.write(lease, batchOf(series, offsets, { rows }))
        assert.deepEqual([wrong.isWritten, wrong.nextOffset], [false, 110])
      }
      assert.equal((await readingsIn(schema)).length, 1)
    },
  )

  promise(
    'texts and booleans are kept; NaN and impossible times never',
    async ({ ask, newSchema, openWriter }) => {
      const schema = newSchema()
      const writer = await openWriter(schema)
      const series = new SeriesIds()
      series.add(seriesName('pump', { metric: 'state', kind: 'text', dimensions: [['a"', 'ü\0']] }))
      series.add(seriesName('pump', { metric: 'on', kind: 'boolean' }))
      series.add(seriesName('pump'))
      const future = nodeWorld.clock.nowUs() + 40 * 86_400_000_000
      const wrong: Row[] = [
        ...([
          [2, NOON_US, NaN],
          [2, NOON_US, Infinity],
          [2, NaN, 1],
        ] satisfies Row[]),
        ...([
          [2, 946_684_799_999_999, 1],
          [2, future, 1],
        ] satisfies Row[]),
      ]
      const rows: Row[] = [
        ...([
          [0, NOON_US, 0, 'läuft 🚀\0'],
          [1, NOON_US, 1],
          [2, -0 + NOON_US, -0.1],
        ] satisfies Row[]),
        ...wrong,
        [2, 946_684_800_000_000, 3],
      ]
      const partials = partialsOf([
        [2, 60_000, NOON_US / 1000, 0, 1, NaN],
        [2, 60_000, 0, 0, 1, 1],
      ])
      const result = await writer.write(
        await claimed(writer),
        batchOf(series, [0, 1], { rows, partials }),
      )
      assert.deepEqual([result.refusedReadings, result.refusedPartials], [5, 2])
      const stored = await ask(
        `SELECT metric, kind, dimensions, device_hash, time_us, value, text_value FROM ${schema}.reading
     JOIN ${schema}.series ON id = series ORDER BY metric, time_us`,
      )
      const hash = seriesName('pump').deviceHash
      const noon = String(NOON_US)
      const row = (metric: string, kind: number, value: number, rest: object = {}) => ({
        ...{ metric, kind, dimensions: '[]', device_hash: hash, time_us: noon, value },
        ...{ text_value: null, ...rest },
      })
      const text = { dimensions: '[["a\\"","ü\\u0000"]]', text_value: 'läuft 🚀\uFFFD' }
      assert.deepEqual(stored, [
        row('on', 1, 1),
        row('state', 2, 0, text),
        row('temperature', 0, 3, { time_us: '946684800000000' }),
        row('temperature', 0, -0.1),
      ])
      assert.equal((await ask(`SELECT * FROM ${schema}.window_partial`)).length, 0)
    },
  )
}

function testPartials(promise: Promised): void {
  promise(
    'P5 partials that are replayed from any offset converge',
    async ({ ask, newSchema, openWriter }) => {
      const schema = newSchema()
      const writer = await openWriter(schema)
      const series = seriesOf('pump', 'fan')
      const startMs = NOON_US / 1000
      let chance = 7
      const below = (limit: number): number => (chance = (chance * 48_271) % 2_147_483_647) % limit
      const counts = new Map<string, number>()
      const emitted = Array.from({ length: 400 }, (_, at) => {
        const key = [below(2), 60_000, startMs + 60_000 * below(5), below(2)]
        // A window's count grows, or stays with another content.
        const count = (counts.get(key.join()) ?? 0) + below(2)
        counts.set(key.join(), count)
        return [...key, count, at]
      })
      const reference = new Map(emitted.map((row) => [row.slice(0, 4).join(), row]))
      const lease = await claimed(writer)
      for (let at = 0; at < emitted.length;) {
        const count = 1 + below(30)
        const partials = partialsOf(emitted.slice(at, at + count))
        await writer.write(lease, batchOf(series, [at, at + count], { partials }))
        at += count
      }
      const stored = async (): Promise<string[]> => {
        const rows = await ask(
          `SELECT series, window_ms, start_ms, is_late, count, sum FROM ${schema}.window_partial`,
        )
        return rows.map((row) => Object.values(row).join()).toSorted()
      }
      const expected = [...reference.values()]
        .map((row) => [series.ids[row[0]!], row[1], row[2], row[3] === 1, row[4], row[5]].join())
        .toSorted()
      assert.deepEqual(await stored(), expected)
      // A partition that is read from its beginning once more, under another topic's offsets.
      const again = { topic: 'again', partials: partialsOf(emitted) }
      await writer.write(lease, batchOf(series, [0, 400], again))
      assert.deepEqual(await stored(), expected)
      // One that knows less does not replace.
      const poorer = partialsOf(emitted.map((row) => [...row.slice(0, 4), -1, 9999]))
      await writer.write(lease, batchOf(series, [400, 401], { topic: 'again', partials: poorer }))
      assert.deepEqual(await stored(), expected)
    },
  )
}

function testTables(promise: Promised): void {
  promise(
    'any number migrate at once; a newer format is refused and left as it was',
    async ({ ask, newSchema, openWriter, url }) => {
      const schema = newSchema()
      await Promise.all(Array.from({ length: 6 }, () => openWriter(schema)))
      await ask(`UPDATE ${schema}.storage_version SET version = 99`)
      const opening = openPostgresWriter({ place: { url, schema }, clock: nodeWorld.clock })
      await assert.rejects(opening, { code: 'DATA_FORMAT_NEWER' })
      assert.deepEqual(await ask(`SELECT version FROM ${schema}.storage_version`), [
        { version: 99 },
      ])
    },
  )
}
