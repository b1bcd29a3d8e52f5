/**
 * What every store's scan must hand over. An adapter's test calls `testScan` with how to open it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ValueKind } from '../batch/batch.ts'
import { BASE_MS, defineSeries, type GivenReading, type QueryBench } from './query-fixture.ts'
import type { QueryLimits, ReadingScan, ScanBlock, ScanQuestion, ScanStep, Value } from './query.ts'

export interface ScanBench extends QueryBench {
  scan: ReadingScan
}

export interface ScanTraits {
  name: string
  open(limits: QueryLimits): Promise<ScanBench>
  skip?: string | undefined
  runs: number
}

/** A scan has limits of its own. */
const LIMITS: QueryLimits = { rowsMax: 10, windowsMax: 10 }
const BASE_US = BASE_MS * 1000

const KINDS: readonly ValueKind[] = ['number', 'boolean', 'text', 'number']
/** Five devices of two types with four metrics each; the last device has but one. */
const SERIES = Array.from({ length: 17 }, (_, at) => ({
  ...defineSeries(at, `metric-${at % 4}`, { kind: KINDS[at % 4]! }),
  device: at >> 2,
  deviceId: `pump-${(at >> 2) + 1}`,
  deviceType: at < 8 ? 'pump' : 'valve',
}))

const ask = (parts: Partial<ScanQuestion> = {}): ScanQuestion => ({
  ...{ tenant: 'default', startUs: BASE_US, endUs: BASE_US + 1e9 },
  ...parts,
})

const reading: fc.Arbitrary<GivenReading> = fc
  .record({
    series: fc.nat({ max: SERIES.length - 1 }),
    second: fc.nat({ max: 60 }),
    microsecond: fc.constantFrom(0, 0, 1, 999_999),
    number: fc.double({ noNaN: true, noDefaultInfinity: true }),
    text: fc.constantFrom('eco', 'boost', '', '"ü\\'),
  })
  .map(({ series, second, microsecond, number, text }) => {
    const { kind } = SERIES[series]!
    const value = kind === 'number' ? number : kind === 'boolean' ? number > 0 : text
    return { series, timeUs: BASE_US + second * 1e6 + microsecond, value }
  })

const question = fc.record(
  {
    startUs: fc.nat({ max: 30 }).map((second) => BASE_US + second * 1e6),
    endUs: fc.nat({ max: 31 }).map((second) => BASE_US + (30 + second) * 1e6),
    metrics: fc.subarray(['metric-0', 'metric-1', 'metric-2', 'metric-9'], { minLength: 1 }),
    deviceTypes: fc.subarray(['pump', 'valve', 'none'], { minLength: 1 }),
    deviceIds: fc.subarray(['pump-1', 'pump-2', 'pump-5', 'pump-9'], { minLength: 1 }),
  },
  { requiredKeys: [] },
)

export function testScan(traits: ScanTraits): void {
  const { name, skip, runs } = traits
  const open = (limits: QueryLimits): Promise<ScanBench> => traits.open(limits)
  const promise = (title: string, run: (bench: ScanBench) => Promise<void>): void => {
    test(`${title} [scan of ${name}]`, { skip: skip ?? false }, async () => {
      const bench = await open(LIMITS)
      await run(bench).finally(() => bench.close())
    })
  }

  promise('V1, V2 each reading once, by device and time, as first written', async () => {
    const given = fc.array(fc.array(reading, { maxLength: 60, size: 'max' }), { maxLength: 4 })
    const questions = fc.array(question, { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(given, questions, async (batches, questions) => {
        const bench = await open(LIMITS)
        try {
          await bench.give({ series: SERIES })
          for (const readings of batches) await bench.give({ readings })
          for (const parts of questions) {
            const asked = ask(parts)
            const { lines, devices } = await readAll(bench.scan, asked)
            const expected = linesOf(batches.flat(), asked)
            assert.deepEqual(lines.toSorted(), expected.toSorted())
            assert.equal(devices, devicesOf(asked))
          }
        } finally {
          await bench.close()
        }
      }),
      { numRuns: runs },
    )
  })

  promise('V2 what came later and is older stands in its place', async ({ scan, give }) => {
    await give({ series: SERIES, readings: [at(0, 5), at(0, 9), at(3, 5)] })
    await give({ readings: [at(0, 2), at(0, 7), at(3, 1)] })
    const { lines } = await readAll(scan, ask())
    assert.deepEqual(
      lines.map((text) => Number(text.split(' ')[2]) / 1e6 - BASE_MS / 1000),
      [1, 2, 5, 5, 7, 9],
    )
  })

  promise('V3 a scan that is ended leaves nothing held', async ({ scan, give, query }) => {
    await give({ series: SERIES, readings: SERIES.map(({ series }) => at(series, 0)) })
    for (let round = 0; round < 20; round++) {
      const steps = scan.scan(ask())
      assert.equal((await steps.next()).done, false)
      await steps.return()
    }
    assert.deepEqual(Object.keys(await query.latest('default', 'pump-5')), ['metric-0'])
  })

  promise('nobody else’s readings, and nothing of what nobody sent', async ({ scan, give }) => {
    await give({ series: SERIES, readings: SERIES.map(({ series }) => at(series, 0)) })
    for (const none of [{ tenant: 'other' }, { metrics: [] }, { deviceIds: ['pump-6'] }]) {
      assert.deepEqual(await readAll(scan, ask(none)), { lines: [], devices: 0 })
    }
    const before = await readAll(scan, ask({ endUs: BASE_US }))
    assert.deepEqual(before, { lines: [], devices: 5 })
  })
}

function at(series: number, second: number): GivenReading {
  const value: Value = SERIES[series]!.kind === 'text' ? 'eco' : 1
  return { series, timeUs: BASE_US + second * 1e6, value: series % 4 === 1 ? true : value }
}

/** Every row as a text; what a step promises of its blocks is checked on the way. */
async function readAll(
  scan: ReadingScan,
  asked: ScanQuestion,
): Promise<{ lines: string[]; devices: number }> {
  const lines: string[] = []
  const seen = new Set<string>()
  let open: string | undefined
  let last: ScanStep | undefined
  let lastUs = -Infinity
  for await (const step of scan.scan(asked)) {
    assert.equal(step.completeness, 1)
    for (const block of step.blocks) {
      const { deviceId } = block.series[0]!
      assert.ok(open === undefined || open === deviceId, 'a device is finished before the next')
      if (open === undefined) {
        assert.ok(!seen.has(deviceId), 'a device comes once')
        seen.add(deviceId)
        lastUs = -Infinity
      }
      open = block.isLast ? undefined : deviceId
      lines.push(...rowsOf(block))
      for (const timeUs of block.timeUs) {
        assert.ok(timeUs >= lastUs, 'in the order of time')
        lastUs = timeUs
      }
    }
    last = step
  }
  assert.equal(open, undefined)
  assert.equal(last?.devicesDone, last?.devicesTotal)
  assert.equal(seen.size, last?.devicesTotal ?? 0)
  return { lines, devices: seen.size }
}

function rowsOf({ series, texts, count, timeUs, value, place }: ScanBlock): string[] {
  const byId = new Map(texts)
  return Array.from({ length: count }, (_, row) => {
    const { deviceId, metric, kind } = series[place?.[row] ?? 0]!
    const number = value[row]!
    return line(deviceId, metric, timeUs[row]!, kind === 'text' ? byId.get(number)! : number)
  })
}

const line = (deviceId: string, metric: string, timeUs: number, value: string | number): string =>
  `${deviceId} ${metric} ${timeUs} ${Object.is(value, -0) ? '-0' : JSON.stringify(value)}`

const isAsked = (series: number, { metrics, deviceTypes, deviceIds }: ScanQuestion): boolean => {
  const { metric, deviceType, deviceId } = SERIES[series]!
  return (
    (metrics?.includes(metric) ?? true) &&
    (deviceTypes?.includes(deviceType) ?? true) &&
    (deviceIds?.includes(deviceId) ?? true)
  )
}

function linesOf(readings: readonly GivenReading[], asked: ScanQuestion): string[] {
  const first = new Map(
    readings.toReversed().map((one) => [`${one.series} ${one.timeUs}`, one] as const),
  )
  return [...first.values()]
    .filter(({ series, timeUs }) => {
      return isAsked(series, asked) && timeUs >= asked.startUs && timeUs < asked.endUs
    })
    .map(({ series, timeUs, value }) => {
      const { deviceId, metric } = SERIES[series]!
      return line(deviceId, metric, timeUs, typeof value === 'string' ? value : Number(value))
    })
}

const devicesOf = (asked: ScanQuestion): number =>
  new Set(SERIES.filter(({ series }) => isAsked(series, asked)).map(({ deviceId }) => deviceId))
    .size
