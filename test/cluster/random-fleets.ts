/** Random fleets over some months, and questions about them, with what the answers must be. */
import fc from 'fast-check'
import type { SeriesDefinition } from '../../src/batch/batch.ts'
import { defineSeries, type GivenReading } from '../../src/query/query-fixture.ts'
import {
  gridOf,
  matchesDimensions,
  type Aggregate,
  type GroupsQuestion,
} from '../../src/query/query.ts'

const TENANT = `O'Brien: 100 %"`
const METRIC = `temp'erature\\`
const DEVICES = [
  { deviceId: `d'1; DROP TABLE x --`, deviceType: 'pump' },
  { deviceId: '50 %/"a"', deviceType: 'größe=%41' },
  { deviceId: 'c', deviceType: 'pump' },
  { deviceId: 'ü\n', deviceType: `it's` },
]
const SIDE: [string, string] = ['side', `l'"eft`]

const ofDevice = (at: number, how: object): SeriesDefinition => ({
  ...defineSeries(0, METRIC, how),
  ...DEVICES[at % DEVICES.length]!,
  ...{ tenant: TENANT, device: at + 1 },
})

/** In the order of their numbers; the last is another tenant's. */
export const FLEET: SeriesDefinition[] = [
  ...DEVICES.map((_, at) => ofDevice(at, {})),
  ofDevice(0, { dimensions: [SIDE] }),
  ofDevice(2, { dimensions: [['place', 'roof'], SIDE] }),
  { ...ofDevice(0, {}), tenant: 'another' },
].map((one, series) => ({ ...one, series }))

const BEGIN_MS = Date.UTC(2024, 0, 1)
const MONTHS = 4
const monthStartUs = (month: number): number => Date.UTC(2024, month, 1) * 1000
const HOUR_US = 3_600_000_000

/** Anywhere, or about where steps and months meet. */
const timeUs = fc
  .record({
    month: fc.nat({ max: MONTHS - 1 }),
    hour: fc.constantFrom(0, 0, 1, 23, 24, 312, 671),
    offsetUs: fc.constantFrom(0, 0, -1, 1, 499, -499, 500_000, 123_456_789),
  })
  .map(({ month, hour, offsetUs }) =>
    Math.max(BEGIN_MS * 1000, monthStartUs(month) + hour * HOUR_US + offsetUs),
  )

export interface FleetReading extends GivenReading {
  value: number
}

export interface RandomFleet {
  /** Of one identity the first counts. */
  readings: FleetReading[]
  /** Months, from 0, of which the first half goes to the lake before the second half comes. */
  lateMonths: number[]
  /** What came late goes there too. */
  isLateAged: boolean
}

export const randomFleet: fc.Arbitrary<RandomFleet> = fc.record({
  readings: fc.array(
    fc.record({
      series: fc.nat({ max: FLEET.length - 1 }),
      timeUs,
      value: fc.double({ min: -1e6, max: 1e6, noNaN: true }),
    }),
    { minLength: 30, maxLength: 120, size: 'max' },
  ),
  lateMonths: fc.uniqueArray(fc.nat({ max: MONTHS - 1 }), { maxLength: 2 }),
  isLateAged: fc.boolean(),
})

export const monthOf = (us: number): number => {
  const date = new Date(Math.floor(us / 1000))
  return (date.getUTCFullYear() - 2024) * 12 + date.getUTCMonth()
}

/** Where readings are, and beside them. */
const cutUs = fc
  .tuple(fc.constantFrom(0, 0, 1, 24, 312), fc.constantFrom(0, 0, 1))
  .map(([hours, us]) => hours * HOUR_US + us)

const span = fc.oneof(
  fc.constant({ startUs: Date.UTC(2023, 0) * 1000, endUs: Date.UTC(2025, 6, 2) * 1000 }),
  fc
    .tuple(fc.nat({ max: MONTHS - 1 }), fc.nat({ max: MONTHS }), cutUs, cutUs)
    .map(([from, to, afterUs, untilUs]) => {
      const startUs = monthStartUs(Math.min(from, to)) + afterUs
      return { startUs, endUs: Math.max(startUs, monthStartUs(Math.max(from, to)) + untilUs) }
    }),
)

const steps = fc.constantFrom(
  ...[{ stepUs: undefined }, { stepUs: HOUR_US }, { stepUs: 90_000_000 }, { stepUs: 7 * HOUR_US }],
  ...(['day', 'week', 'month'] as const).map((unit) => ({
    ...{ stepUs: undefined, calendar: { unit, count: 1, timeZone: 'Europe/Berlin' } },
  })),
)

const AGGREGATES: Aggregate[] = ['avg', 'min', 'max', 'sum', 'count', 'stddev']

export const groupsQuestion: fc.Arbitrary<GroupsQuestion> = fc
  .record({
    span,
    steps,
    aggregate: fc.constantFrom(...AGGREGATES),
    groups: fc.constantFrom<GroupsQuestion['groups']>(
      ...(['all', 'type', 'device'] as const),
      new Map([
        [DEVICES[0]!.deviceId, `it's`],
        [DEVICES[2]!.deviceId, 'other'],
        ['nobody', 'other'],
      ]),
    ),
    dimensions: fc.constantFrom<Record<string, string>>({}, {}, { side: SIDE[1] }, { side: 'x' }),
    deviceTypes: fc.constantFrom(undefined, undefined, ['pump'], ['größe=%41', `it's`]),
  })
  .map(({ span, steps, ...how }) => ({
    ...{ tenant: TENANT, metric: METRIC, pointsMax: 10_000 },
    ...{ ...span, ...steps, ...how },
  }))

/** Each group's points by hand: one reading after the other. */
export function naiveGroups(
  readings: readonly FleetReading[],
  question: GroupsQuestion,
): { group: string; points: [number, number | null][] }[] {
  const firsts = new Map(
    readings.toReversed().map((one) => [`${one.series} ${one.timeUs}`, one] as const),
  )
  const grid = gridOf(question)
  const values = new Map<string, Map<number, number[]>>()
  for (const { series, timeUs, value } of firsts.values()) {
    const one = FLEET[series]!
    const group = groupOf(one, question)
    if (group === undefined || timeUs < question.startUs || timeUs >= question.endUs) continue
    const steps = values.get(group) ?? new Map<number, number[]>()
    values.set(group, steps)
    const ms = grid.startUsOf(grid.indexOf(timeUs)) / 1000
    steps.set(ms, [...(steps.get(ms) ?? []), value])
  }
  return [...values]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([group, steps]) => ({
      group,
      points: [...steps]
        .toSorted(([a], [b]) => a - b)
        .map(([ms, own]) => [ms, aggregated(own, question.aggregate)]),
    }))
}

function groupOf(one: SeriesDefinition, question: GroupsQuestion): string | undefined {
  const { tenant, metric, groups, deviceTypes } = question
  const isMeant = one.tenant === tenant && one.metric === metric && matchesDimensions(one, question)
  if (!isMeant || deviceTypes?.includes(one.deviceType) === false) return undefined
  if (groups === 'all') return ''
  if (groups === 'type') return one.deviceType
  return groups === 'device' ? one.deviceId : groups.get(one.deviceId)
}

function aggregated(values: readonly number[], aggregate: Aggregate): number | null {
  const sum = values.reduce((total, value) => total + value, 0)
  const mean = sum / values.length
  switch (aggregate) {
    case 'count':
      return values.length
    case 'min':
      return Math.min(...values)
    case 'max':
      return Math.max(...values)
    case 'sum':
      return sum
    case 'avg':
      return mean
    default: {
      const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0)
      return values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : null
    }
  }
}
