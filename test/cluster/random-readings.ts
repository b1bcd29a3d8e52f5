/** Random readings, with the partials and dirty ranges that a stream makes of them. */
import fc from 'fast-check'
import {
  ask,
  BASE_MS,
  defineSeries,
  partialOf,
  type Given,
  type GivenReading,
} from '../../src/query/query-fixture.ts'
import { AGGREGATES, type ReadingsQuestion, type WindowsQuestion } from '../../src/query/query.ts'

export const WINDOWS_MS = [60_000, 300_000] as const
const [SMALLEST_MS, LARGEST_MS] = WINDOWS_MS

/** In the order of their names, in which the writer numbers what is new. */
const SERIES = [
  defineSeries(0, 'mode', { kind: 'text' }),
  defineSeries(1, 'running', { kind: 'boolean' }),
  defineSeries(2, 'temperature', {
    dimensions: [
      ['place', 'roof'],
      ['side', 'left'],
    ],
  }),
  defineSeries(3, 'temperature', { dimensions: [['side', 'left']] }),
  defineSeries(4, 'temperature'),
]

/** What the stream saw of a reading: before its window closed, after it, or long after it. */
type Fate = 'on-time' | 'late' | 'very-late'

interface Arrival extends GivenReading {
  fate: Fate
}

const SECONDS = 1500

const arrival: fc.Arbitrary<Arrival> = fc
  .record({
    series: fc.nat({ max: SERIES.length - 1 }),
    second: fc.nat({ max: SECONDS / 5 }).map((step) => step * 5),
    microsecond: fc.constantFrom(0, 0, 1, 999_999),
    number: fc.double({ min: -1e6, max: 1e6, noNaN: true }),
    text: fc.constantFrom('eco', 'boost', '', '"ü\\'),
    fate: fc.constantFrom<Fate>('on-time', 'on-time', 'on-time', 'late', 'very-late'),
  })
  .map(({ series, second, microsecond, number, text, fate }) => {
    const { kind } = SERIES[series]!
    const value = kind === 'number' ? number : kind === 'boolean' ? number > 0 : text
    return { series, timeUs: BASE_MS * 1000 + second * 1e6 + microsecond, value, fate }
  })

/** Readings, and everything that follows from them when the watermark is at a minute's end. */
export const given: fc.Arbitrary<Given> = fc
  .record({
    arrivals: fc.array(arrival, { minLength: 20, maxLength: 150, size: 'max' }),
    closedMs: fc.nat({ max: SECONDS / 60 }).map((minute) => BASE_MS + minute * SMALLEST_MS),
  })
  .map(({ arrivals, closedMs }) => {
    const firsts = new Map(arrivals.toReversed().map((one) => [`${one.series}:${one.timeUs}`, one]))
    const counted = [...firsts.values()].filter(({ series }) => SERIES[series]!.kind !== 'text')
    return {
      series: SERIES,
      readings: arrivals,
      partials: WINDOWS_MS.flatMap((windowMs) => partialsOf(counted, { windowMs, closedMs })),
      coverage: { fromMs: BASE_MS, watermarkMs: closedMs - 1 },
      dirty: counted
        .filter(({ fate }) => fate === 'very-late')
        .map(({ series, timeUs }) => {
          const fromMs = Math.floor(timeUs / 1000 / LARGEST_MS) * LARGEST_MS
          return { series, fromMs, toMs: fromMs + LARGEST_MS }
        }),
    }
  })

function partialsOf(
  arrivals: readonly Arrival[],
  { windowMs, closedMs }: { windowMs: number; closedMs: number },
): number[][] {
  const inOrder = arrivals
    .filter(({ fate }) => fate !== 'very-late')
    .toSorted((a, b) => a.timeUs - b.timeUs)
  const startOf = ({ timeUs }: Arrival): number => Math.floor(timeUs / 1000 / windowMs) * windowMs
  const windows = Map.groupBy(
    inOrder.filter((one) => startOf(one) + windowMs <= closedMs),
    (one) => `${one.series}:${startOf(one)}:${one.fate}`,
  )
  return [...windows.values()].map((readings) =>
    partialOf(
      readings.map((one) => ({ ...one, value: Number(one.value) })),
      { windowMs, isLate: readings[0]!.fate === 'late' },
    ),
  )
}

const span = fc
  .record({
    startUs: fc.nat({ max: SECONDS / 15 }).map((step) => BASE_MS * 1000 + step * 15e6),
    lengthUs: fc.nat({ max: SECONDS / 15 }).map((step) => 1 + step * 15e6),
  })
  .map(({ startUs, lengthUs }) => ({ startUs, endUs: startUs + lengthUs }))

const target = fc.constantFrom(
  { metric: 'temperature', dimensions: {} },
  { metric: 'temperature', dimensions: { side: 'left' } },
  { metric: 'temperature', dimensions: { place: 'roof' } },
  { metric: 'running', dimensions: {} },
  { metric: 'mode', dimensions: {} },
)

export const readingsQuestion: fc.Arbitrary<ReadingsQuestion> = fc
  .record({
    span,
    target,
    aggregate: fc.option(fc.constantFrom(...AGGREGATES), { nil: undefined, freq: 5 }),
    stepUs: fc.constantFrom(undefined, 20e6, 60e6, 120e6, 300e6, 600e6),
    pointsMax: fc.constantFrom(4, 7, 20, 1000),
  })
  .map(({ span, target, ...how }) => ask({ ...span, ...target, ...how }))

export const windowsQuestion: fc.Arbitrary<WindowsQuestion> = fc
  .record({ span, target, windowMs: fc.constantFrom(...WINDOWS_MS) })
  .map(({ span, target, windowMs }) => ({ ...ask({ ...span, ...target }), windowMs }))
