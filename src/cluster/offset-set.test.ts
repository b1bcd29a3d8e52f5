import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OffsetSet, type Run } from './offset-set.ts'

/** As a plain Set says it. */
function runsOf(offsets: ReadonlySet<number>, from: number): Run[] {
  const runs: Run[] = []
  for (const offset of [...offsets].filter((one) => one >= from).sort((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last?.end === offset) last.end++
    else runs.push({ start: offset, end: offset + 1 })
  }
  return runs
}

const before = (offsets: ReadonlySet<number>, offset: number): number =>
  [...offsets].reduce((highest, one) => (one < offset && one > highest ? one : highest), -1)

/** Many at the bounds of words and chunks. */
const anOffset = fc.oneof(
  fc.nat(200),
  fc.integer({ min: 32_700, max: 32_840 }),
  fc.integer({ min: 65_500, max: 65_600 }),
  fc.integer({ min: 2 ** 40 - 40, max: 2 ** 40 + 40 }),
)

test('has, runs and addRun are those of a plain set', () => {
  const run = fc.record({ start: anOffset, length: fc.nat(300) })
  fc.assert(
    fc.property(fc.array(run), anOffset, (runs, from) => {
      const [set, byRuns] = [new OffsetSet(), new OffsetSet()]
      const plain = new Set<number>()
      for (const { start, length } of runs) {
        byRuns.addRun({ start, end: start + length })
        for (let offset = start; offset < start + length; offset++) {
          set.add(offset)
          plain.add(offset)
        }
      }
      for (const { start, length } of [...runs, { start: from, length: 40 }]) {
        for (let offset = Math.max(0, start - 2); offset < start + length + 2; offset++) {
          assert.equal(set.has(offset), plain.has(offset), String(offset))
          assert.equal(set.before(offset), before(plain, offset), `before ${offset}`)
        }
      }
      for (const one of [set, byRuns]) {
        assert.deepEqual([...one.runs(0)], runsOf(plain, 0))
        assert.deepEqual([...one.runs(from)], runsOf(plain, from))
      }
    }),
  )
})

test('what is dropped is dropped in chunks, and everything else stays', () => {
  const set = new OffsetSet()
  set.addRun({ start: 32_000, end: 100_000 })
  set.dropBelow(40_000)
  assert.deepEqual([...set.runs(0)], [{ start: 32_768, end: 100_000 }])
  assert.equal(set.has(32_000), false)
  assert.equal(set.dropLowest(), 65_536)
  assert.deepEqual([...set.runs(0)], [{ start: 65_536, end: 100_000 }])
  assert.equal(set.chunks, 2)
})
