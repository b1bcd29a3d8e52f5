/** Months leave PostgreSQL while writers write, people ask, and whoever moves them dies. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { askLake, watched } from '../../src/lake/lake-fixture.ts'
import { ask, BASE_MS } from '../../src/query/query-fixture.ts'
import {
  HOUR_MS,
  hourly,
  HOURS,
  KEPT,
  LIMITS,
  movesAll,
  newPlace,
  openLake,
} from './cold-fixture.ts'
import { openTables, type BenchAging } from './postgres-bench.ts'
import { askOf, skip, url } from './postgres-fixture.ts'

test('A1 A3 it dies at any request: answers stay, and the next run ends it', { skip }, async () => {
  const whole = await openLake()
  let left = Infinity
  const objects = watched(whole, () => {
    if (left-- <= 0) throw new Error('the power is out')
  })
  const place = newPlace()
  const aging: BenchAging = { objects, agesOf: () => KEPT }
  const { query, give, age, close } = await openTables(place, LIMITS, { aging })
  try {
    await give(hourly(0, HOURS))
    const { points } = await query.readings(ask())
    for (let calls = 0; ; calls++) {
      left = calls
      const isDone = await age().then(
        () => true,
        () => false,
      )
      left = Infinity
      assert.deepEqual((await query.readings(ask())).points, points)
      if (isDone) break
    }
    await age()
    const [row] = await askLake(whole, 'SELECT count(*)::integer FROM lake')
    assert.deepEqual(row, [HOURS * 3], 'every reading is there once')
    const pending = await askOf(url, `SELECT * FROM ${place.schema}.cold_pending`)
    assert.deepEqual(pending, [])
  } finally {
    await close()
  }
})

test('A2 rows that come while a month goes stay, whenever they come', { skip }, async () => {
  const whole = await openLake()
  let onCall: () => Promise<void> = async () => {}
  const objects = watched(whole, () => onCall())
  const aging: BenchAging = { objects, agesOf: () => KEPT }
  const { query, give, age, close } = await openTables(newPlace(), LIMITS, { aging })
  try {
    await give(hourly(0, 48))
    let came = 48
    onCall = async () => {
      if (came < 51) await give(hourly(came, ++came))
    }
    await age()
    onCall = async () => {}
    const answer = async () => (await query.readings(ask())).points.map(([, value]) => value)
    const expected = Array.from({ length: came }, (_, hour) => hour)
    assert.deepEqual(await answer(), expected)
    await age()
    assert.deepEqual(await answer(), expected)
    const { meta } = await query.readings(ask())
    assert.deepEqual(meta.tiers, ['cold'])
  } finally {
    await close()
  }
})

/** Each into a month that may just be going. */
const WRITES = 60

test('A1 A2 writers and questions go on while months go', { skip }, async () => {
  const tables = await openTables(newPlace(), LIMITS, { aging: await movesAll() })
  const { query, give, age, close } = tables
  try {
    await give(hourly(0, 24))
    const known = new Map<number, number>()
    const note = (timeUs: number, value: number): void => {
      if (!known.has(timeUs)) known.set(timeUs, value)
    }
    for (let hour = 0; hour < 24; hour++) note((BASE_MS + hour * HOUR_MS) * 1000, hour)
    let isOver = false
    const writing = (async () => {
      // In any order, and some again with another value.
      for (let number = 0; number < WRITES; number++) {
        const timeUs = (BASE_MS + ((number * 37) % 1700) * HOUR_MS) * 1000
        await give({ readings: [{ series: 0, timeUs, value: number + 0.5 }] })
        note(timeUs, number + 0.5)
      }
    })().finally(() => (isOver = true))
    const asking = (async () => {
      while (!isOver) {
        const [before, { points }] = [known.size, await query.readings(ask())]
        assert.ok(points.length >= before, 'what was written is answered')
        assert.equal(new Set(points.map(([ms]) => ms)).size, points.length, 'once')
      }
    })()
    let moved = 0
    const aging = (async () => {
      while (!isOver) {
        for (const one of await age()) moved += one.moved
        await delay(300)
      }
    })()
    await Promise.all([writing, asking, aging])
    assert.ok(moved > WRITES / 2)
    const expected = [...known]
      .toSorted(([a], [b]) => a - b)
      .map(([us, value]) => [us / 1000, value])
    assert.deepEqual((await query.readings(ask())).points, expected)
    await age()
    const { points, meta } = await query.readings(ask())
    assert.deepEqual(points, expected)
    assert.deepEqual(meta.tiers, ['cold'])
  } finally {
    await close()
  }
})

test('A3 a month that one who died has closed takes rows again', { skip }, async () => {
  const place = newPlace()
  const { query, give, close } = await openTables(place, LIMITS, { aging: await movesAll() })
  try {
    await give(hourly(0, 24))
    await askOf(
      url,
      `CREATE TRIGGER guard BEFORE INSERT ON ${place.schema}.reading_2024_01
       FOR EACH ROW EXECUTE FUNCTION ${place.schema}.refuse_row()`,
    )
    await give(hourly(24, 48))
    assert.equal((await query.readings(ask())).points.length, 48)
  } finally {
    await close()
  }
})
