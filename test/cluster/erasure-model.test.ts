/** Random readings, moves, erasures that are cut, and backlogs, beside a naive model. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { askLake } from '../../src/lake/lake-fixture.ts'
import type { Erasure } from '../../src/postgres/erasure-tables.ts'
import { ask, type GivenReading } from '../../src/query/query-fixture.ts'
import {
  BASE_US,
  cut,
  DEVICES,
  erasureOf,
  HOUR_US,
  HOURS,
  open,
  SERIES,
  type Rig,
} from './erasure-fixture.ts'
import { skip } from './postgres-fixture.ts'

/** First writes, without what was erased before or afterwards. */
class Model {
  readonly #known = new Map<string, number | string>()
  readonly #erased: Erasure[] = []

  give(readings: readonly GivenReading[]): void {
    for (const { series, timeUs, value } of readings) {
      const key = `${series} ${timeUs}`
      if (!this.#isErased(series, timeUs) && !this.#known.has(key)) {
        this.#known.set(key, value as number | string)
      }
    }
  }

  erase(erasure: Erasure): void {
    this.#erased.push(erasure)
    for (const key of this.#known.keys()) {
      const [series, timeUs] = key.split(' ').map(Number)
      if (this.#isErased(series!, timeUs!)) this.#known.delete(key)
    }
  }

  #isErased(series: number, timeUs: number): boolean {
    const { deviceId } = SERIES[series]!
    return this.#erased.some(
      ({ devices, fromUs, toUs }) =>
        devices.some((one) => one.deviceId === deviceId) && fromUs <= timeUs && timeUs < toUs,
    )
  }

  points(series: number): [number, number | string][] {
    return [...this.#known]
      .map(([key, value]) => [key.split(' ').map(Number), value] as const)
      .filter(([[of]]) => of === series)
      .map(([[, timeUs], value]): [number, number | string] => [timeUs! / 1000, value])
      .toSorted(([a], [b]) => a - b)
  }

  get count(): number {
    return this.#known.size
  }
}

async function assertShown({ tables }: Rig, model: Model, when: string): Promise<void> {
  for (const { series, deviceId, metric } of SERIES) {
    const answer = await tables.query.readings({ ...ask(), deviceId, metric })
    assert.deepEqual(answer.points, model.points(series), `${when}: ${deviceId} ${metric}`)
  }
}

/** The newest of each. What is not known for now is left out, and nothing else. */
async function assertLatest({ tables }: Rig, model: Model, isWhole: boolean): Promise<void> {
  const fleet = await tables.query.latestOfMetric({
    ...{ tenant: 'default', metric: 'temperature', deviceType: undefined },
    ...{ afterDeviceId: undefined, limit: 10 },
  })
  for (const { series, deviceId, metric } of SERIES) {
    const newest = model.points(series).at(-1)
    const expected = newest && { ts: newest[0], value: newest[1] }
    const { [metric]: shown } = await tables.query.latest('default', deviceId)
    if (isWhole || shown !== undefined) assert.deepEqual(shown, expected, `${deviceId} ${metric}`)
    const at = fleet.deviceIds.indexOf(deviceId)
    if (metric !== 'temperature' || (at === -1 && !isWhole)) continue
    assert.deepEqual(at === -1 ? undefined : fleet.timesMs[at], expected?.ts)
  }
}

type Step =
  | { do: 'give'; readings: GivenReading[] }
  | { do: 'age' }
  | { do: 'erase'; deviceIds: string[]; from: number; hours: number | undefined; cutAt: number }
  | { do: 'again' }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc
        .array(
          fc.record({
            series: fc.nat(SERIES.length - 1),
            hour: fc.nat(HOURS - 1),
            number: fc.nat(1000),
          }),
          { minLength: 20, maxLength: 120, size: 'max' },
        )
        .map((rows): Step => ({
          do: 'give',
          readings: rows.map(({ series, hour, number }) => ({
            ...{ series, timeUs: BASE_US + hour * HOUR_US },
            value: SERIES[series]!.kind === 'text' ? `mode ${number}` : number,
          })),
        })),
    },
    { weight: 2, arbitrary: fc.constant<Step>({ do: 'age' }) },
    {
      weight: 3,
      arbitrary: fc
        .record({
          deviceIds: fc.uniqueArray(fc.constantFrom(...DEVICES, 'nobody'), { minLength: 1 }),
          from: fc.nat(HOURS),
          hours: fc.option(fc.nat(HOURS / 2), { nil: undefined, freq: 4 }),
          cutAt: fc.nat(30),
        })
        .map((one): Step => ({ do: 'erase', ...one })),
    },
    { weight: 1, arbitrary: fc.constant<Step>({ do: 'again' }) },
  ),
  { minLength: 4, maxLength: 10, size: 'max' },
)

test(
  'random readings, moves, erasures that are cut, and backlogs, beside a naive model',
  { skip },
  async () => {
    let [erased, cuts] = [0, 0]
    const work = async (all: Step[]): Promise<void> => {
      const closing: (() => Promise<void>)[] = []
      const rig = await open({ after: (close) => void closing.push(close) })
      const model = new Model()
      const given: GivenReading[] = []
      try {
        await rig.tables.give({ series: SERIES })
        for (const step of all) {
          if (step.do === 'give') {
            given.push(...step.readings)
            await rig.tables.give({ readings: step.readings })
            model.give(step.readings)
          } else if (step.do === 'again') {
            // All that there was comes again.
            await rig.tables.give({ readings: given })
            model.give(given)
          } else if (step.do === 'age') await rig.tables.age()
          else {
            const { deviceIds, from, hours, cutAt } = step
            const fromUs = hours === undefined ? undefined : BASE_US + from * HOUR_US
            const erasure = erasureOf(deviceIds, fromUs, fromUs && fromUs + hours! * HOUR_US)
            const before = model.count
            await rig.eraser.hide(erasure)
            model.erase(erasure)
            await assertShown(rig, model, 'from the answer on')
            await assertLatest(rig, model, false)
            cuts += await cut(rig, erasure, cutAt)
            await assertShown(rig, model, 'half-way')
            assert.ok(await rig.run(erasure))
            const { rows, files } = await rig.eraser.erased(erasure.id)
            const count =
              (rows.get('reading') ?? 0) + files.reduce((sum, file) => sum + file.rows, 0)
            // What was on its way from one to the other is in both.
            assert.ok(count >= before - model.count, `${count} of ${before - model.count}`)
            erased += count
          }
          await assertShown(rig, model, step.do)
          await assertLatest(rig, model, true)
        }
        await rig.tables.age()
        await assertShown(rig, model, 'in the end')
        const [row] = await askLake(rig.lake, 'SELECT count(*)::integer FROM lake')
        assert.deepEqual(row ?? [0], [model.count], 'and nothing else is in the lake')
      } finally {
        for (const close of closing) await close()
      }
    }
    await fc.assert(fc.asyncProperty(steps, work), { numRuns: 8 })
    assert.ok(erased > 50, `${erased} were erased`)
    assert.ok(cuts > 3, `${cuts} were cut`)
  },
)
