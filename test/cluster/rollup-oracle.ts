/** What readings answer, naively. */
import assert from 'node:assert/strict'
import type { SaidReading } from '../../src/storage/naive-stream-fixture.ts'

export const NAMES = ['count', 'sum', 'p50', 'avg', 'max', 'stddev', 'p95', 'min'] as const
export const OF_ONE = [...NAMES, 'first', 'last'] as const
export type Name = (typeof OF_ONE)[number]

/** Of readings in the order of their times; what of quantiles may be answered. */
function rangeOf(
  readings: readonly SaidReading[],
  name: Name,
  error: number | undefined,
): { least: number; most: number } | undefined {
  const values = readings.map(({ value }) => value)
  const sorted = values.toSorted((a, b) => a - b)
  const sum = values.reduce((total, value) => total + value, 0)
  const mean = sum / values.length
  const exactly = (value: number) => ({ least: value, most: value })
  switch (name) {
    case 'count':
      return exactly(values.length)
    case 'sum':
      return exactly(sum)
    case 'avg':
      return exactly(mean)
    case 'min':
      return exactly(sorted[0]!)
    case 'max':
      return exactly(sorted.at(-1)!)
    case 'first':
      return exactly(values[0]!)
    case 'last':
      return exactly(values.at(-1)!)
    case 'stddev': {
      const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0)
      return values.length < 2 ? undefined : exactly(Math.sqrt(squares / (values.length - 1)))
    }
    default: {
      const rank = (Number(name.slice(1)) / 100) * (sorted.length - 1)
      const [low, high] = [sorted[Math.floor(rank)]!, sorted[Math.ceil(rank)]!]
      if (error === 0) return exactly(low + (high - low) * (rank - Math.floor(rank)))
      return { least: low - Math.abs(low) * error!, most: high + Math.abs(high) * error! }
    }
  }
}

type Points = readonly (readonly [number, unknown])[]

export function assertPoints(
  points: Points,
  {
    readings,
    name,
    stepUs,
    error,
    told,
  }: {
    readings: SaidReading[]
    name: Name
    stepUs: number
    error: number | undefined
    told: string
  },
): void {
  const inOrder = readings.toSorted((a, b) => a.timeUs - b.timeUs)
  const steps = Map.groupBy(inOrder, ({ timeUs }) => (Math.floor(timeUs / stepUs) * stepUs) / 1000)
  assert.deepEqual(
    points.map(([ms]) => ms),
    [...steps.keys()],
    told,
  )
  for (const [ms, value] of points) {
    const range = rangeOf(steps.get(ms)!, name, error)
    if (range === undefined) assert.equal(value, null, told)
    else {
      const { least, most } = range
      const isRight = least - 1e-6 <= Number(value) && Number(value) <= most + 1e-6
      assert.ok(isRight, `${told} at ${ms}: ${String(value)}, not ${least} to ${most}`)
    }
  }
}
