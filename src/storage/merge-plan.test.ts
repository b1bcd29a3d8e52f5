import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { mergeDebt, planMerge, type Merge, type MergePolicy } from './merge-plan.ts'
import { periodOf } from './periods.ts'
import { segmentFile, type Box, type Segment } from './segment-set.ts'

const HOUR_US = 3_600e6
const DAY_US = 24 * HOUR_US
/** The first day of a month. */
const START_US = Date.UTC(2026, 10, 1) * 1000
const POLICY: MergePolicy = {
  ...{ nowUs: START_US + HOUR_US, segmentRows: 512, fanIn: 4 },
  isIntact: () => true,
}

/** Of one reading; the value tells which of equal identities it is. */
interface Row {
  series: number
  timeUs: number
  offset: number
}

interface Stored {
  segment: Segment
  rows: Row[]
}

let parts = 0

function store(
  rows: Row[],
  { first, last, isMerged }: { first: number; last: number; isMerged: boolean },
): Stored {
  const part = isMerged ? parts++ : undefined
  const file = segmentFile('readings', { first, last, ...(part === undefined ? {} : { part }) })
  const segment: Segment = {
    ...{ kind: 'readings', isCold: false, file, firstOffset: first, lastOffset: last },
    ...{ rows: rows.length, bytes: rows.length, tail: undefined, crc: 0, hasUnverified: true },
    minSeries: Math.min(...rows.map(({ series }) => series)),
    maxSeries: Math.max(...rows.map(({ series }) => series)),
    minTimeUs: Math.min(...rows.map(({ timeUs }) => timeUs)),
    maxTimeUs: Math.max(...rows.map(({ timeUs }) => timeUs)),
  }
  return { segment, rows }
}

const identity = ({ series, timeUs }: Row): string => `${series}:${timeUs}`

/** Of equal identities the first in this order. */
function firstWrites(rows: readonly Row[]): Row[] {
  const first = new Map<string, Row>()
  for (const row of rows) if (!first.has(identity(row))) first.set(identity(row), row)
  return [...first.values()]
}

const isIn = ({ series, timeUs }: Row, { startUs, endUs, minSeries, maxSeries }: Box): boolean =>
  startUs <= timeUs && timeUs < endUs && minSeries <= series && series <= maxSeries

/** Segments as plain rows, merged as the plan says. */
class Model {
  stored: Stored[] = []
  rewritten = 0
  #offset = 0

  commit(rows: Omit<Row, 'offset'>[]): void {
    const offset = this.#offset++
    const own = firstWrites(rows.map((row) => ({ ...row, offset })))
    this.stored.push(store(own, { first: offset, last: offset, isMerged: false }))
  }

  get segments(): Segment[] {
    return this.#inOrder().map(({ segment }) => segment)
  }

  #inOrder(): Stored[] {
    return this.stored.toSorted((a, b) => a.segment.firstOffset - b.segment.firstOffset)
  }

  mergeAll(policy: MergePolicy): void {
    for (let merges = 0; ; merges++) {
      const merge = planMerge(this.segments, policy)
      if (merge === undefined) break
      assert.ok(merges < 1000, 'merging comes to an end')
      this.#apply(merge)
    }
    assert.equal(mergeDebt(this.segments, policy), 0)
  }

  #apply({ sources, outputs }: Merge): void {
    const rest = this.stored.filter(({ segment }) => !sources.includes(segment))
    const rowsOf = new Map(this.stored.map(({ segment, rows }) => [segment, rows]))
    const added: Stored[] = []
    for (const output of outputs) {
      const all = output.sources.flatMap((source) => rowsOf.get(source)!)
      const rows = firstWrites(all.filter((row) => isIn(row, output.box)))
      this.rewritten += rows.length
      if (rows.length === 0) continue
      const { firstOffset: first, lastOffset: last } = output
      added.push(store(rows, { first, last, isMerged: true }))
      if (!output.isWhole) continue
      const others = new Set(rest.flatMap((one) => one.rows.map(identity)))
      assert.ok(!rows.some((row) => others.has(identity(row))), 'what is whole has no rival')
    }
    const files = [...rest, ...added].map(({ segment }) => segment.file)
    assert.equal(new Set(files).size, files.length, 'names are unique')
    this.stored = [...rest, ...added]
  }

  /** What a query finds. */
  answer(): Row[] {
    return firstWrites(this.#inOrder().flatMap(({ rows }) => rows))
  }
}

const byIdentity = (rows: readonly Row[]): string[] =>
  rows.map((row) => `${identity(row)}:${row.offset}`).toSorted()

const commit = fc.array(
  fc.record({
    series: fc.integer({ min: 0, max: 5 }),
    // Mostly of today or yesterday, now and then of a month ago; few times, so that many repeat.
    backUs: fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 0, max: 10 }).map((step) => step * 3 * HOUR_US) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 60 }).map((step) => step * 12 * HOUR_US) },
    ),
  }),
  { minLength: 1, maxLength: 12 },
)

test('T4 whatever comes when, merges keep every identity once, and of it the first write', () => {
  const property = fc.property(
    fc.array(commit, { minLength: 4, maxLength: 150 }),
    fc.integer({ min: 1, max: 200 }),
    (commits, segmentRows) => {
      const model = new Model()
      const written: Row[] = []
      let nowUs = START_US
      for (const [offset, readings] of commits.entries()) {
        nowUs += 3 * HOUR_US
        const rows = readings.map(({ series, backUs }) => ({ series, timeUs: nowUs - backUs }))
        model.commit(rows)
        written.push(...rows.map((row) => ({ ...row, offset })))
        model.mergeAll({ ...POLICY, nowUs, segmentRows })
        assert.deepEqual(byIdentity(model.answer()), byIdentity(firstWrites(written)))
      }
      nowUs += 60 * DAY_US
      model.mergeAll({ ...POLICY, nowUs, segmentRows })
      assert.deepEqual(byIdentity(model.answer()), byIdentity(firstWrites(written)))
      for (const { segment } of model.stored) {
        assert.ok(segment.maxTimeUs < periodOf(segment.minTimeUs, nowUs).endUs, 'one period each')
      }
    },
  )
  fc.assert(property, { numRuns: 60 })
})

test('many small commits leave few segments, each reading rewritten about once per size', () => {
  const model = new Model()
  const commits = 2000
  for (let at = 0; at < commits; at++) {
    const timeUs = START_US + at * 1e6
    model.commit(Array.from({ length: 2 }, (_, series) => ({ series, timeUs })))
    model.mergeAll(POLICY)
  }
  assert.ok(model.stored.length <= 5 + 5 * POLICY.fanIn, `${model.stored.length} segments`)
  assert.ok(model.rewritten <= commits * 2 * 6, `${model.rewritten} rows rewritten`)
})

test('a month that is over is one layer, in files of ranges of series; late rows wait until they are many', () => {
  const model = new Model()
  const series = 32
  for (let hour = 0; hour < 24 * 35; hour++) {
    const nowUs = START_US + hour * HOUR_US
    model.commit(Array.from({ length: series }, (_, at) => ({ series: at, timeUs: nowUs })))
    model.mergeAll({ ...POLICY, nowUs })
  }
  const nowUs = START_US + 36 * DAY_US
  model.mergeAll({ ...POLICY, nowUs })
  const monthUs = Date.UTC(2026, 11, 1) * 1000
  const ofMonth = (): Segment[] => model.segments.filter(({ maxTimeUs }) => maxTimeUs < monthUs)
  const month = ofMonth()
  assert.equal(new Set(month.map(({ firstOffset }) => firstOffset)).size, 1)
  assert.ok(month.length > 10, `${month.length} files`)
  for (const { rows } of month) assert.ok(rows <= 2 * POLICY.segmentRows, `${rows} rows`)
  const days = model.segments.filter(({ minTimeUs }) => minTimeUs >= monthUs)
  assert.ok(days.every((one) => one.maxTimeUs - one.minTimeUs < DAY_US))
  // A handful of late rows leave the month’s files as they are.
  const files = month.map(({ file }) => file)
  model.commit([{ series: 3, timeUs: START_US + 1 }])
  model.mergeAll({ ...POLICY, nowUs })
  const now = ofMonth().map(({ file }) => file)
  assert.deepEqual(
    now.filter((file) => files.includes(file)),
    files,
  )
  assert.equal(now.length, files.length + 1)
  // An eighth of the month is merged with it.
  const late = Array.from({ length: 3200 }, (_, at) => ({
    series: at % series,
    timeUs: START_US + 5 + at * 60e6,
  }))
  model.commit(late)
  model.mergeAll({ ...POLICY, nowUs })
  assert.equal(new Set(ofMonth().map(({ firstOffset }) => firstOffset)).size, 1)
})

test('a segment that is set aside merges with nobody, and nobody merges across it', () => {
  const model = new Model()
  for (let at = 0; at < 9; at++) model.commit([{ series: 0, timeUs: START_US + at }])
  const segments = model.segments
  const isIntact = (one: Segment): boolean => one !== segments[3]
  const merge = planMerge(segments, { ...POLICY, isIntact })
  assert.deepEqual(merge?.sources, segments.slice(4))
  const isSplit = (one: Segment): boolean => ![2, 5].includes(one.firstOffset)
  assert.equal(planMerge(segments, { ...POLICY, isIntact: isSplit }), undefined)
})
