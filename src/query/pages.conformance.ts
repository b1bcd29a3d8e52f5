/** A part of the suite of questions: readings page by page. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ask, BASE_MS, defineSeries, type Promised, type QueryBench } from './query-fixture.ts'
import type { PagePlace, ReadingsQuestion, Value } from './query.ts'

interface Walk {
  points: [number, Value | null][]
  pages: number
}

/** `between` is called behind each page. */
async function walk(
  { query }: QueryBench,
  question: Partial<ReadingsQuestion>,
  limit: number,
  between: (lastMs: number) => Promise<void> = async () => undefined,
): Promise<Walk> {
  const all: Walk = { points: [], pages: 0 }
  let after: PagePlace | undefined
  do {
    const answer = await query.readings(ask({ ...question, page: { limit, after } }))
    assert.ok(answer.points.length <= limit)
    assert.equal(answer.meta.resolution_ms, 0)
    if (answer.next !== undefined) assert.equal(answer.points.length, limit)
    all.points.push(...answer.points)
    all.pages++
    after = answer.next
    await between(answer.points.at(-1)?.[0] ?? -Infinity)
  } while (after !== undefined)
  return all
}

const DAY_MS = 86_400_000

export function testPages(promise: Promised): void {
  promise('page by page every reading comes once, whatever its density', async (bench) => {
    const { give, query } = bench
    // Dense, then nothing for a year, then now and then; two series at the same times.
    const timesMs = [
      ...Array.from({ length: 6000 }, (_, at) => at),
      ...Array.from({ length: 40 }, (_, at) => (365 + at * 3) * DAY_MS),
    ]
    const readings = timesMs.flatMap((ms, at) =>
      [0, 1].map((series) => ({ series, timeUs: (BASE_MS + ms) * 1000, value: 2 * at + series })),
    )
    const series = ['left', 'right'].map((side, at) =>
      defineSeries(at, 'temperature', { dimensions: [['side', side]] }),
    )
    await give({ series, readings })
    const expected = readings.map(({ timeUs, value }) => [timeUs / 1000, value])
    for (const limit of [997, 5000]) {
      const { points, pages } = await walk(bench, {}, limit)
      assert.equal(pages, Math.ceil(readings.length / limit))
      assert.deepEqual(points, expected)
    }
    const right = await walk(bench, { dimensions: { side: 'right' } }, 3000)
    assert.deepEqual(
      right.points,
      expected.filter((_, at) => at % 2 === 1),
    )
    const whole = await query.readings(ask({ page: { limit: 20_000 } }))
    assert.deepEqual([whole.points.length, whole.next], [readings.length, undefined])
    // From the first time that there is: what a cursor says of it must be exact.
    const first = await query.readings(ask({ startUs: -9e15, page: { limit: 10 } }))
    assert.deepEqual(first.points, expected.slice(0, 10))
    assert.ok(Number.isSafeInteger(first.next?.widthUs), String(first.next?.widthUs))
    const none = await query.readings(ask({ metric: 'none', page: { limit: 10 } }))
    assert.deepEqual([none.points, none.next], [[], undefined])
  })

  promise('what comes between two pages moves nothing', async (bench) => {
    let metrics = 0
    const time = fc.integer({ min: 0, max: 60 })
    const reading = fc.record({ series: fc.constantFrom(0, 1), time })
    const readings = fc.uniqueArray(reading, {
      ...{ minLength: 1, maxLength: 40 },
      selector: ({ series, time }) => series * 100 + time,
    })
    const property = fc.asyncProperty(
      ...[readings, fc.integer({ min: 1, max: 7 }), fc.integer({ min: 0, max: 40 })],
      async (all, limit, early) => {
        const first = metrics * 2
        const metric = `metric-${metrics++}`
        const give = (given: typeof all) =>
          bench.give({
            readings: given.map(({ series, time }) => ({
              ...{ series: first + series, timeUs: (BASE_MS + time) * 1000, value: series },
            })),
          })
        const series = [0, 1].map((at) =>
          defineSeries(first + at, metric, { dimensions: [['at', String(at)]] }),
        )
        await bench.give({ series })
        const told = all.slice(0, early)
        await give(told)
        const late = all.slice(early)
        const behind: typeof all = []
        const { points } = await walk(bench, { metric }, limit, async (lastMs) => {
          const next = late.shift()
          if (next === undefined) return
          await give([next])
          // At the place's own time it depends on the series.
          if (BASE_MS + next.time > lastMs) behind.push(next)
        })
        const keys = points.map(([ms, value]) => `${ms - BASE_MS}:${Number(value)}`)
        assert.deepEqual(keys, [...new Set(keys)], 'nothing twice')
        const times = points.map(([ms]) => ms)
        assert.deepEqual(
          times,
          times.toSorted((a, b) => a - b),
        )
        const keyOf = ({ series, time }: (typeof all)[number]): string => `${time}:${series}`
        for (const one of told) assert.ok(keys.includes(keyOf(one)), `${keyOf(one)} is missing`)
        const sent = new Set(all.map(keyOf))
        for (const key of keys) assert.ok(sent.has(key), `nobody sent ${key}`)
        // The last page may have been asked for before it came.
        for (const one of behind.slice(0, -1)) assert.ok(keys.includes(keyOf(one)), keyOf(one))
      },
    )
    await fc.assert(property, { numRuns: 15 })
  })
}
