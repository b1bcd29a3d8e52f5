/**
 * Questions about many devices, some of whose months an engine answers: as they are answered
 * without it, and as one reading after the other says.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { LakeEngine } from '../../src/lake-engine/lake-engine.ts'
import type { Objects } from '../../src/objects/objects.ts'
import type { GroupsAnswer, GroupsQuestion } from '../../src/query/query.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { KEPT, LIMITS, newPlace } from './cold-fixture.ts'
import { openTables } from './postgres-bench.ts'
import { FLEET, groupsQuestion, monthOf, naiveGroups, randomFleet } from './random-fleets.ts'

export interface EngineBench {
  objects: Objects
  engine: LakeEngine
  table: string
  location: string
  close: () => Promise<void>
}

export const ENGINE_LIMITS = { timeoutMs: 60_000, rowsMax: 100_000, bytesMax: 1 << 26 }

/** Each look at it is an hour later, so that nothing is too soon to be tried again. */
export const hourlyClock = () => {
  let nowMs = 0
  return { ...nodeWorld.clock, monotonicMs: () => (nowMs += 3_600_000) }
}

export function testEngineQuestions({
  name,
  skip,
  open,
  runs,
  questions,
}: {
  name: string
  skip: string | undefined
  open: () => Promise<EngineBench>
  runs: number
  /** Of each fleet. */
  questions: number
}): void {
  test(`random fleets: with ${name} as without it`, { skip: skip ?? false }, async () => {
    const { objects, close, ...place } = await open()
    const engine = { ...place, limits: ENGINE_LIMITS, clock: hourlyClock(), readingsMin: 0 }
    const aging = { objects, agesOf: () => KEPT }
    const tables = await openTables(newPlace(), LIMITS, { aging, engine })
    let asked = 0
    const property = fc.asyncProperty(
      randomFleet,
      fc.array(groupsQuestion, { minLength: questions, maxLength: questions }),
      async ({ readings, lateMonths, isLateAged }, all) => {
        await tables.empty()
        const isLate = (at: number): boolean =>
          at * 2 >= readings.length && lateMonths.includes(monthOf(readings[at]!.timeUs))
        const first = readings.filter((_, at) => !isLate(at))
        const late = readings.filter((_, at) => isLate(at))
        await tables.give({ series: FLEET, readings: first })
        await tables.age()
        await tables.give({ readings: late })
        if (isLateAged) await tables.age()
        for (const question of all) {
          const answer = await tables.query.groups(question)
          const without = await tables.alone.groups(question)
          const place = JSON.stringify(question)
          assertAlike(answer, without.groups, place)
          assertAlike(answer, naiveGroups([...first, ...late], question), place)
          const { engine: said, ...meta } = answer.meta
          assert.equal(said?.failed, undefined, place)
          if (said !== undefined) asked++
          assert.equal(without.meta.engine, undefined)
          const { series, resolution_ms, completeness } = without.meta
          assert.deepEqual(
            [meta.series, meta.resolution_ms, meta.completeness],
            [series, resolution_ms, completeness],
          )
        }
      },
    )
    try {
      await fc.assert(property, { numRuns: runs, endOnFailure: true })
      assert.ok(asked > (runs * questions) / 4, `${asked} questions were for the engine`)
    } finally {
      await tables.close()
      await close()
    }
  })
}

/** Sums of another order differ a little; what is no sum does not. */
function assertAlike(
  { groups }: Pick<GroupsAnswer, 'groups'>,
  expected: readonly { group: string; points: readonly (readonly [number, unknown])[] }[],
  place: string,
): void {
  const shapeOf = (of: typeof expected) =>
    of.map(({ group, points }) => [group, points.map(([ms]) => ms)])
  assert.deepEqual(shapeOf(groups), shapeOf(expected), place)
  const { aggregate } = JSON.parse(place) as Pick<GroupsQuestion, 'aggregate'>
  const isExact = ['count', 'min', 'max'].includes(aggregate)
  for (const [at, { points }] of expected.entries()) {
    for (const [step, [, value]] of points.entries()) {
      const actual = groups[at]!.points[step]![1]
      if (isExact || typeof value !== 'number') assert.equal(actual, value, place)
      else {
        // Of values up to a million, of which some cancel.
        const tolerance = 1e-9 * Math.max(1e6, Math.abs(value))
        assert.ok(Math.abs(Number(actual) - value) <= tolerance, `${place}: ${actual}, ${value}`)
      }
    }
  }
}
