/** Random fleets on PostgreSQL, and what their readings answer, naively. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import pg from 'pg'
import type { PostgresPlace } from '../../src/postgres-client/postgres-client.ts'
import { renewHours } from '../../src/postgres/rollup-closing.ts'
import { defineSeries } from '../../src/query/query-fixture.ts'
import type { Aggregate, GroupsQuestion, Query, ReadingsQuestion } from '../../src/query/query.ts'
import {
  LATENESS_US,
  NaiveStream,
  type SaidReading,
} from '../../src/storage/naive-stream-fixture.ts'
import { until } from '../system/weir-process.ts'
import { assertPoints, NAMES, OF_ONE, type Name } from './rollup-oracle.ts'
import { openTables, type BenchAging, type TablesBench } from './postgres-bench.ts'

export const HOUR_US = 3_600e6
export const DAY_US = 24 * HOUR_US
const MINUTE_US = 60e6
/** The evening before the last of a month. */
export const RUN_START_US = Date.UTC(2026, 3, 29, 20) * 1000

/** A small fleet, and one that tells of hours without readings. */
const DEVICES = 'abcdefghijklmnopqrst'.split('')
const TYPES = DEVICES.map((_, at) => (at < 3 ? 'pump' : 'fan'))
const SERIES = DEVICES.map((deviceId, series) => ({
  ...defineSeries(series, 'temperature', { deviceId }),
  deviceType: TYPES[series]!,
}))

const reading = fc.record({
  series: fc.nat(DEVICES.length - 1),
  /** Minutes behind the clock: mostly now, sometimes hours or days. */
  behind: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 200 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 5000 }) },
  ),
  value: fc.integer({ min: -50, max: 50 }),
  /** So many in a row, so that an hour of them is worth a row. */
  burst: fc.oneof(
    { weight: 3, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.constant(40) },
  ),
})

/** Of weeks before the first window, or of a device whose clock is wrong. */
const pastReading = fc.record({
  series: fc.nat(DEVICES.length - 1),
  daysBack: fc.oneof(
    { weight: 5, arbitrary: fc.integer({ min: 11, max: 50 }) },
    { weight: 1, arbitrary: fc.constantFrom(9000, 9610) },
  ),
  minute: fc.nat(24 * 60 - 1),
  value: fc.integer({ min: -50, max: 50 }),
  /** In the lake an hour of fewer than some hundred is not worth a row. */
  burst: fc.constantFrom(1, 40, 800),
})

export const stepOfRun = fc.record({
  hours: fc.integer({ min: 1, max: 12 }),
  readings: fc.array(reading, { minLength: 1, maxLength: 15 }),
  past: fc.oneof(
    { weight: 2, arbitrary: fc.array(pastReading, { maxLength: 0 }) },
    { weight: 1, arbitrary: fc.array(pastReading, { minLength: 1, maxLength: 3 }) },
  ),
  next: fc.constantFrom('nothing', 'sum', 'sum', 'sum', 'cut', 'ask', 'leave'),
})
type StepOfRun = typeof stepOfRun extends fc.Arbitrary<infer S> ? S : never

interface Asked {
  groups: GroupsQuestion['groups']
  deviceTypes?: string[]
}
const QUESTIONS: Asked[] = [
  { groups: 'all' },
  { groups: 'type' },
  { groups: 'type', deviceTypes: ['fan'] },
  { groups: 'device' },
  {
    groups: new Map([
      ['a', 'x'],
      ['c', 'x'],
      ['d', 'y'],
    ]),
  },
]
function groupOf(series: number, { groups, deviceTypes }: Asked): string | undefined {
  const type = TYPES[series]!
  if (deviceTypes?.includes(type) === false) return undefined
  if (groups === 'all') return ''
  if (groups === 'type') return type
  return groups === 'device' ? DEVICES[series]! : groups.get(DEVICES[series]!)
}

interface Look {
  startUs: number
  endUs: number
  stepUs: number
}

export class Run {
  readonly seen: Set<string>
  readonly #place: PostgresPlace
  readonly #aging: BenchAging | undefined
  readonly #windowsMs: readonly number[]
  readonly #stream: NaiveStream
  /** By series, by time: what was said first, and not erased. */
  readonly #stored = new Map<number, Map<number, number>>()
  #tables!: TablesBench
  #nowUs = RUN_START_US
  #latestUs = 0
  #turn = 0

  constructor(
    place: PostgresPlace,
    how: { windowsMs: readonly number[]; aging: BenchAging | undefined; seen: Set<string> },
  ) {
    this.#place = place
    this.#aging = how.aging
    this.#windowsMs = how.windowsMs
    this.seen = how.seen
    this.#stream = new NaiveStream(SERIES, how.windowsMs)
    for (const { series } of SERIES) this.#stored.set(series, new Map())
  }

  get tables(): TablesBench {
    return this.#tables
  }

  async open(): Promise<void> {
    this.#tables = await openTables(
      this.#place,
      { rowsMax: 1_000_000, windowsMax: 10_000 },
      {
        ...{ windowsMs: this.#windowsMs, aging: this.#aging },
        allowedLatenessMs: LATENESS_US / 1000,
      },
    )
    await this.#tables.give({ series: SERIES })
  }

  close(): Promise<void> {
    return this.#tables.close()
  }

  async step({ hours, readings, past, next }: StepOfRun): Promise<void> {
    this.#nowUs += hours * HOUR_US
    const live = readings.flatMap(({ series, behind, value, burst }) =>
      Array.from({ length: burst }, (_, at) => ({
        ...{ series, timeUs: this.#nowUs - behind * MINUTE_US - at * 17e6 },
        value: value + (at % 11) / 4,
      })),
    )
    const old = past.flatMap(({ series, daysBack, minute, value, burst }) =>
      Array.from({ length: burst }, (_, at) => ({
        ...{ series, timeUs: dayUs(RUN_START_US) - daysBack * DAY_US + minute * MINUTE_US },
        value: value + (at % 11) / 4,
      })).map((one, at) => ({ ...one, timeUs: one.timeUs + at * 4e6 })),
    )
    await this.say([...live, ...old])
    if (next === 'sum') await this.sumUp()
    if (next === 'ask') await this.check({ startUs: 0, endUs: 4e15, stepUs: HOUR_US })
    if (next === 'cut') await this.cut(2 + ((hours * 7) % 40))
    if (next !== 'leave') return
    if (this.#aging === undefined) await this.#erase(readings[0]!.series)
    else await this.#tables.age()
  }

  async sumUp(): Promise<void> {
    await this.#tables.sumUp()
    const [row] = await this.#tables.statement(
      `SELECT
         EXISTS (SELECT FROM hour_rollup WHERE start_ms < from_ms AND window_ms = 3600000) AS hours,
         EXISTS (SELECT FROM hour_rollup WHERE start_ms < from_ms AND window_ms > 3600000) AS days,
         EXISTS (SELECT FROM fleet_rollup WHERE start_ms < from_ms AND count > 0) AS fleets,
         EXISTS (SELECT FROM fleet_rollup WHERE start_ms < from_ms AND count = 0) AS silence,
         EXISTS (SELECT FROM history_day WHERE summed_ms < day_ms + 86400000) AS undone
       FROM rollup_progress`,
    )
    assert.equal(row!['undone'], false)
    for (const what of ['hours', 'days', 'fleets', 'silence']) {
      if (row![what] === true) this.seen.add(`history: ${what}`)
      if (row![what] === true && this.#aging !== undefined) this.seen.add(`lake: ${what}`)
    }
  }

  async say(readings: readonly SaidReading[]): Promise<void> {
    const { partials = [], dirty = [] } = this.#stream.output(readings)
    for (const { series, timeUs, value } of readings) {
      const own = this.#stored.get(series)!
      if (!own.has(timeUs)) own.set(timeUs, value)
      this.#latestUs = Math.max(this.#latestUs, timeUs)
    }
    const coverage = {
      fromMs: (RUN_START_US - 10 * DAY_US) / 1000,
      watermarkMs: Math.floor(this.#latestUs / 1000) - 1,
    }
    // Topics have their own pace: windows may be ahead of readings, and the other way around.
    const told = { partials, dirty, coverage }
    const parts = this.#turn++ % 2 === 0 ? [{ readings }, told] : [told, { readings }]
    for (const part of parts) await this.#tables.give(part)
  }

  /** The connection ends at the nth statement, before or behind it. */
  async cut(statement: number): Promise<boolean> {
    const mend = cutAt(statement, { isBehind: statement % 3 === 0 })
    try {
      await this.#tables.sumUp()
      return false
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'STORAGE_UNAVAILABLE', String(error))
      return true
    } finally {
      mend()
    }
  }

  /** As an erasure does it: what it is not about here is hidden by dirty ranges. */
  async #erase(series: number): Promise<void> {
    const untilUs = this.#nowUs - 3 * HOUR_US
    const { url, schema } = this.#place
    const client = new pg.Client({ connectionString: url, options: `-c search_path=${schema}` })
    await client.connect()
    try {
      await client.query('BEGIN')
      const { rows } = await client.query<{ id: number }>(
        'SELECT id FROM series WHERE device_id = $1',
        [DEVICES[series]],
      )
      const ids = rows.map(({ id }) => id)
      await renewHours(client, ids, { startUs: 0, endUs: untilUs })
      await client.query('DELETE FROM reading WHERE series = ANY ($1) AND time_us < $2', [
        ids,
        untilUs,
      ])
      await client.query(
        `INSERT INTO dirty_range SELECT id, 0, $2 FROM unnest($1::integer[]) AS id
         ON CONFLICT DO NOTHING`,
        [ids, untilUs / 1000],
      )
      await client.query('COMMIT')
    } finally {
      await client.end()
    }
    const [left] = await this.#tables.statement(
      `SELECT (SELECT count(*) FROM hour_rollup JOIN series ON id = series
           WHERE device_id = '${DEVICES[series]}' AND start_ms < ${untilUs / 1000})
         + (SELECT count(*) FROM fleet_rollup JOIN fleet ON id = fleet
           WHERE device_type = '${TYPES[series]}' AND start_ms < ${untilUs / 1000}) AS rows`,
    )
    assert.equal(Number(left!['rows']), 0, 'rows that are made of what is erased')
    const own = this.#stored.get(series)!
    for (const timeUs of [...own.keys()]) if (timeUs < untilUs) own.delete(timeUs)
    this.seen.add('erased')
    await this.check({ startUs: 0, endUs: 4e15, stepUs: HOUR_US })
  }

  async checkAll(offsetHours: number): Promise<void> {
    const all = { startUs: RUN_START_US - 60 * DAY_US, endUs: this.#nowUs + DAY_US }
    const part = { startUs: RUN_START_US + offsetHours * HOUR_US + 1234, endUs: this.#nowUs - 777 }
    for (const stepUs of [HOUR_US, DAY_US, 7 * DAY_US]) {
      await this.check({ ...all, stepUs })
      await this.check({ ...part, stepUs })
    }
    await this.check({ startUs: 0, endUs: 4e15, stepUs: HOUR_US })
  }

  async check(look: Look): Promise<void> {
    const { query } = this.#tables
    const said = [...this.#stored].flatMap(([series, own]) =>
      [...own].map(([timeUs, value]) => ({ series, timeUs, value })),
    )
    const inSpan = said.filter(({ timeUs }) => look.startUs <= timeUs && timeUs < look.endUs)
    for (const asked of QUESTIONS) {
      const name = NAMES[this.#turn++ % NAMES.length]!
      await this.#checkGroups(query, { asked, name, look, inSpan })
    }
    await this.#checkWindows(said)
    for (const series of [this.#turn % DEVICES.length, 4]) {
      const name = OF_ONE[this.#turn++ % OF_ONE.length]!
      const question: ReadingsQuestion = { ...questionOf(look, name), deviceId: DEVICES[series]! }
      const { points, meta } = await query.readings(question)
      const error = this.#note(name, meta)
      const readings = inSpan.filter((one) => one.series === series)
      const told = `${name} of ${DEVICES[series]} from ${meta.tiers.join()} ${error}`
      assertPoints(points, { readings, name, stepUs: look.stepUs, error, told })
    }
  }

  async #checkGroups(
    query: Query,
    {
      asked,
      name,
      look,
      inSpan,
    }: { asked: Asked; name: (typeof NAMES)[number]; look: Look; inSpan: readonly SaidReading[] },
  ): Promise<void> {
    const { groups, meta } = await query.groups({ ...questionOf(look, name), ...asked })
    const error = this.#note(name, meta)
    const own = inSpan.filter(({ series }) => groupOf(series, asked) !== undefined)
    const expected = Map.groupBy(own, ({ series }) => groupOf(series, asked)!)
    const told = `${name} from ${meta.tiers.join()} ${error}`
    assert.deepEqual(
      groups.map(({ group }) => group),
      [...expected.keys()].toSorted(),
      told,
    )
    for (const { group, points } of groups) {
      const readings = expected.get(group)!
      assertPoints(points, { readings, name, stepUs: look.stepUs, error, told })
    }
  }

  /** Of what is summed up, late or not. */
  async #checkWindows(said: readonly SaidReading[]): Promise<void> {
    const { query, statement } = this.#tables
    const [row] = await statement(
      `SELECT summed_ms, least(from_ms,
         (SELECT min(day_ms) FROM history_day WHERE summed_ms IS NOT NULL)) AS from_ms
       FROM rollup_progress`,
    )
    const startUs = Math.max(Number(row!['from_ms']) * 1000, RUN_START_US - 60 * DAY_US)
    const endUs = Math.max(startUs, Number(row!['summed_ms']) * 1000)
    const series = this.#turn++ % DEVICES.length
    const question = { ...questionOf({ startUs, endUs, stepUs: HOUR_US }, 'count') }
    const { windows } = await query.windows({
      ...{ ...question, deviceId: DEVICES[series]!, windowMs: HOUR_US / 1000 },
    })
    const readings = said.filter((one) => {
      return one.series === series && startUs <= one.timeUs && one.timeUs < endUs
    })
    for (const name of ['count', 'avg', 'min', 'max', 'first', 'last', 'stddev'] as const) {
      const points = windows.map((window) => [window.window_start, window[name]] as const)
      const how = { name, stepUs: HOUR_US, error: undefined, told: `window ${name}` }
      assertPoints(points, { readings, ...how })
    }
  }

  #note(
    name: Name,
    { tiers, relative_error }: { tiers: readonly string[]; relative_error?: number },
  ): number | undefined {
    for (const tier of tiers) this.seen.add(tier)
    if (relative_error !== undefined) this.seen.add(`${name} within ${relative_error}`)
    return relative_error
  }
}

const dayUs = (timeUs: number): number => Math.floor(timeUs / DAY_US) * DAY_US

const questionOf = <A extends Aggregate>({ startUs, endUs, stepUs }: Look, aggregate: A) => ({
  ...{ tenant: 'default', metric: 'temperature', dimensions: {}, pointsMax: 10_000 },
  ...{ startUs, endUs, stepUs, aggregate },
})

/** Of the connection that sums up: the nth statement is its last. Returns how to undo it. */
function cutAt(statement: number, { isBehind }: { isBehind: boolean }): () => void {
  const query = Reflect.get(pg.Client.prototype, 'query') as (...given: unknown[]) => unknown
  let left = statement
  const cut = function (this: Internals, ...given: unknown[]): unknown {
    const { connection, connectionParameters } = this
    const isCut = connectionParameters.application_name === 'weir-rollups' && --left === 0
    if (isCut && !isBehind) connection.stream.destroy()
    const answer = Reflect.apply(query, this, given)
    if (isCut && isBehind) setImmediate(() => connection.stream.destroy())
    return answer
  }
  Reflect.set(pg.Client.prototype, 'query', cut)
  return () => void Reflect.set(pg.Client.prototype, 'query', query)
}

interface Internals {
  connection: { stream: { destroy(): void } }
  connectionParameters: { application_name?: string }
}

/** The end of a writer's transaction, which is held up until the one that sums up waits for it. */
export async function writeWhileSummedUp(
  tables: TablesBench,
  client: pg.ClientBase,
  timeUs: number,
): Promise<void> {
  await client.query(
    `INSERT INTO reading (series, device_hash, time_us, value)
     SELECT series, device_hash, $1, 1000 FROM reading LIMIT 1`,
    [timeUs],
  )
  let isDone = false
  const summed = tables.sumUp().finally(() => (isDone = true))
  await until('it waits for the writer, or does not', async () => {
    const [row] = await tables.statement(
      `SELECT count(*) AS waiting FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`,
    )
    return isDone || Number(row!['waiting']) > 0
  })
  await client.query('COMMIT')
  await summed
}
