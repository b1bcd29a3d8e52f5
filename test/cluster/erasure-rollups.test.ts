/** Hours, days and fleets between erasures that are half-way or done, beside a naive sum. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { GroupsQuestion } from '../../src/query/query.ts'
import { BASE_MS, type GivenReading } from '../../src/query/query-fixture.ts'
import { BASE_US, DEVICES, erasureOf, HOUR_US, open, SERIES, type Rig } from './erasure-fixture.ts'
import { skip } from './postgres-fixture.ts'

const MINUTE_US = 60e6
const EVERY_MINUTES = 3
const DAYS = 2
const MINUTES = DAYS * 24 * 60
const DAY_US = 24 * HOUR_US
/** Days before, of which there are two hours with so many readings that they are worth a row. */
const HISTORY_DAYS = 4
const HISTORY_MINUTES = 120
const HISTORY_EVERY_US = 5e6

/** Those of numbers, by their devices. */
const NUMBERS = DEVICES.map((deviceId) => SERIES.find((one) => one.deviceId === deviceId)!.series)

/** By device, by time. */
type Model = Map<string, Map<number, number>>

async function assertSums({ tables }: Rig, model: Model, seen: Set<string>): Promise<void> {
  for (const groups of ['all', 'device'] as const) {
    for (const stepUs of [HOUR_US, DAY_US]) {
      for (const aggregate of ['count', 'sum', 'max', 'p50'] as const) {
        const question: GroupsQuestion = {
          ...{ tenant: 'default', metric: 'temperature', dimensions: {}, pointsMax: 10_000 },
          ...{ startUs: BASE_US - 5 * DAY_US, endUs: BASE_US + DAYS * DAY_US },
          ...{ stepUs, aggregate, groups },
        }
        const answer = await tables.query.groups(question)
        for (const tier of answer.meta.tiers) seen.add(tier)
        const shown = answer.groups.flatMap(({ group, points }) =>
          points.map(([ms, value]) => [`${group} ${ms * 1000}`, Number(value)] as const),
        )
        const where = `${groups} ${aggregate} by ${stepUs / HOUR_US} h`
        const expected = sumsOf(model, question)
        assert.deepEqual(
          shown.map(([key]) => key),
          [...expected.keys()],
          where,
        )
        for (const [key, value] of shown) {
          const own = expected.get(key)!.toSorted((a, b) => a - b)
          if (aggregate === 'p50') {
            const [least, most] = [
              own[Math.floor(own.length / 2) - 1] ?? own[0]!,
              own[own.length >> 1]!,
            ]
            assert.ok(value >= least * 0.99 && value <= most * 1.01, `${where}: ${key}`)
            continue
          }
          const sum = own.reduce((total, one) => total + one, 0)
          const wanted = { count: own.length, sum, max: own.at(-1)! }[aggregate]
          assert.equal(value, wanted, `${where}: ${key}`)
        }
      }
    }
  }
}

/** The values of each step of each group. */
function sumsOf(model: Model, { groups, stepUs }: GroupsQuestion): Map<string, number[]> {
  const found = new Map<string, number[]>()
  const rows = [...model].flatMap(([deviceId, own]) =>
    [...own].map(([timeUs, value]) => ({ group: groups === 'all' ? '' : deviceId, timeUs, value })),
  )
  for (const { group, timeUs, value } of rows.toSorted((a, b) =>
    a.group < b.group ? -1 : a.group > b.group ? 1 : a.timeUs - b.timeUs,
  )) {
    const key = `${group} ${Math.floor(timeUs / stepUs!) * stepUs!}`
    const own = found.get(key)
    if (own === undefined) found.set(key, [value])
    else own.push(value)
  }
  return found
}

/** Of the live days, or of those before. */
const minute = fc.oneof(
  { weight: 2, arbitrary: fc.nat(MINUTES - 1) },
  { weight: 1, arbitrary: fc.nat(HISTORY_MINUTES).map((at) => at - HISTORY_DAYS * 24 * 60) },
)

const step = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ do: 'sumUp' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('erase' as const),
      devices: fc.uniqueArray(fc.constantFrom(...DEVICES), { minLength: 1, maxLength: 2 }),
      from: minute,
      minutes: fc.integer({ min: 1, max: 2000 }),
      isRun: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('late' as const),
      device: fc.nat(DEVICES.length - 1),
      minutes: fc.array(minute, { minLength: 1, maxLength: 20 }),
    }),
  },
)

test(
  'what was erased is in no hour, day or fleet, before and after they are made again',
  { skip },
  async () => {
    const seen = new Set<string>()
    const work = async (steps: (typeof step extends fc.Arbitrary<infer S> ? S : never)[]) => {
      const closing: (() => Promise<void>)[] = []
      const rig = await open({ after: (close) => void closing.push(close) })
      const model: Model = new Map(DEVICES.map((deviceId) => [deviceId, new Map()]))
      const erased: { deviceId: string; fromUs: number; toUs: number }[] = []
      const give = async (readings: GivenReading[]): Promise<void> => {
        const watermarkMs = BASE_MS + (DAYS * 24 + 1) * 3_600_000 - 1
        await rig.tables.give({ readings, coverage: { fromMs: BASE_MS, watermarkMs } })
        for (const { series, timeUs, value } of readings) {
          const deviceId = DEVICES[NUMBERS.indexOf(series)]!
          const isErased = erased.some(
            (one) => one.deviceId === deviceId && one.fromUs <= timeUs && timeUs < one.toUs,
          )
          const own = model.get(deviceId)!
          const isAsked = timeUs < BASE_US + DAYS * DAY_US
          if (!isErased && isAsked && !own.has(timeUs)) own.set(timeUs, Number(value))
        }
      }
      try {
        await rig.tables.give({ series: SERIES })
        const all = NUMBERS.flatMap((series, device) =>
          Array.from({ length: MINUTES / EVERY_MINUTES }, (_, at) => ({
            ...{ series, timeUs: BASE_US + at * EVERY_MINUTES * MINUTE_US },
            value: 1 + ((at * 7 + device) % 50),
          })),
        )
        // Behind the span, so that all of it is over.
        await give([
          ...all,
          { series: NUMBERS[0]!, timeUs: BASE_US + (DAYS * 24 + 1) * HOUR_US, value: 1 },
        ])
        await rig.tables.sumUp()
        await assertSums(rig, model, seen)
        const history = NUMBERS.flatMap((series, device) =>
          Array.from({ length: (HISTORY_MINUTES * MINUTE_US) / HISTORY_EVERY_US }, (_, at) => ({
            ...{ series, timeUs: BASE_US - HISTORY_DAYS * DAY_US + at * HISTORY_EVERY_US },
            value: 1 + ((at * 3 + device) % 50),
          })),
        )
        await give(history)
        await rig.tables.sumUp()
        const [rows] = await rig.tables.statement(
          `SELECT count(*) AS rows FROM hour_rollup WHERE start_ms < ${BASE_MS}`,
        )
        // Hours, and a day.
        assert.equal(Number(rows!['rows']), NUMBERS.length * (HISTORY_MINUTES / 60 + 1))
        await assertSums(rig, model, seen)
        for (const one of steps) {
          if (one.do === 'sumUp') await rig.tables.sumUp()
          else if (one.do === 'late') {
            const series = NUMBERS[one.device]!
            await give(
              one.minutes.map((minute) => ({
                ...{ series, timeUs: BASE_US + minute * MINUTE_US + 1e6, value: 60 },
              })),
            )
          } else {
            const fromUs = BASE_US + one.from * MINUTE_US
            const erasure = erasureOf(one.devices, fromUs, fromUs + one.minutes * MINUTE_US)
            await rig.eraser.hide(erasure)
            for (const deviceId of one.devices) {
              erased.push({ deviceId, fromUs, toUs: erasure.toUs })
              for (const timeUs of model.get(deviceId)!.keys()) {
                if (fromUs <= timeUs && timeUs < erasure.toUs) model.get(deviceId)!.delete(timeUs)
              }
            }
            await assertSums(rig, model, seen)
            if (one.isRun) assert.ok(await rig.run(erasure))
          }
          await assertSums(rig, model, seen)
        }
        await rig.tables.sumUp()
        await assertSums(rig, model, seen)
      } finally {
        for (const close of closing) await close()
      }
    }
    const steps = fc.array(step, { minLength: 3, maxLength: 7, size: 'max' })
    await fc.assert(fc.asyncProperty(steps, work), { numRuns: 3, endOnFailure: true })
    assert.ok(
      seen.has('fleet-1h') && seen.has('rollup-1h') && seen.has('rollup-1d'),
      [...seen].join(),
    )
  },
)
