/** Random readings and questions: a store answers them as the embedded one does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PostgresPlace } from '../../src/postgres-client/postgres-client.ts'
import type { Given } from '../../src/query/query-fixture.ts'
import type { Query } from '../../src/query/query.ts'
import { openEmbeddedBench } from '../../src/storage/query-bench-fixture.ts'
import { openTables, type BenchAging, type TablesBench } from './postgres-bench.ts'
import { given, readingsQuestion, windowsQuestion } from './random-readings.ts'

const LIMITS = { rowsMax: 1_000_000, windowsMax: 10_000 }

/** What a question is answered, or refused, with; numbers that were summed may differ a little. */
async function outcome(answer: Promise<object>): Promise<unknown> {
  return answer.catch((error: Error & { code?: string }) => ({
    code: error.code,
    message: error.message,
  }))
}

export function assertAlike(actual: unknown, expected: unknown, place: string): void {
  if (typeof expected === 'number' && typeof actual === 'number') {
    const tolerance = 1e-9 * Math.max(1, Math.abs(expected))
    return assert.ok(Math.abs(actual - expected) <= tolerance, `${place}: ${actual}, ${expected}`)
  }
  if (typeof expected !== 'object' || expected === null) {
    return assert.equal(actual, expected, place)
  }
  assert.deepEqual(Object.keys(actual as object), Object.keys(expected), place)
  for (const [name, value] of Object.entries(expected)) {
    assertAlike((actual as Record<string, unknown>)[name], value, `${place}.${name}`)
  }
}

/** Without what only says where the rows were. */
async function readingsOf(query: Query, question: Parameters<Query['readings']>[0]) {
  const { points, meta } = await query.readings(question)
  const { series, resolution_ms, completeness } = meta
  return { points, series, resolution_ms, completeness }
}

async function windowsOf(query: Query, question: Parameters<Query['windows']>[0]) {
  const { windows, meta } = await query.windows(question)
  return { windows, resolution_ms: meta.resolution_ms, completeness: meta.completeness }
}

export interface RandomQuestions {
  /** Of the server. */
  name: string
  skip: string | undefined
  newPlace: () => PostgresPlace
  runs: number
  /** Questions are asked of what is compressed. */
  isCompressed?: boolean
  /** Some of the readings go to the lake before the others come, which may go there too. */
  aging?: () => Promise<BenchAging>
}

export interface Parting {
  /** The share of the readings that come first. */
  before: number
  isLateAged: boolean
}

export const parting: fc.Arbitrary<Parting> = fc.record({
  before: fc.constantFrom(0.3, 0.7, 1),
  isLateAged: fc.boolean(),
})

export async function giveAndAge(
  tables: Pick<TablesBench, 'give' | 'age'>,
  given: Given,
  { before, isLateAged }: Parting,
): Promise<void> {
  const { readings = [], ...others } = given
  const cut = Math.floor(readings.length * before)
  await tables.give({ ...others, readings: readings.slice(0, cut) })
  await tables.age()
  await tables.give({ readings: readings.slice(cut) })
  if (isLateAged) await tables.age()
}

export function testRandomQuestions(of: RandomQuestions): void {
  const { name, skip, newPlace, runs, isCompressed = false, aging } = of
  const title = `random readings, late and later: ${name} answers as embedded does`
  test(title, { skip: skip ?? false }, async () => {
    const tables = await openTables(newPlace(), LIMITS, { aging: await aging?.() })
    const property = fc.asyncProperty(
      given,
      fc.array(readingsQuestion, { minLength: 12, maxLength: 12 }),
      fc.array(windowsQuestion, { minLength: 4, maxLength: 4 }),
      parting,
      async (given, readings, windows, parting) => {
        await tables.empty()
        const embedded = await openEmbeddedBench(LIMITS, { isCommitted: true })
        try {
          const give = aging === undefined ? tables.give(given) : giveAndAge(tables, given, parting)
          await Promise.all([give, embedded.give(given)])
          if (isCompressed) await tables.compress()
          for (const question of readings) {
            const [actual, expected] = await Promise.all(
              [tables, embedded].map(({ query }) => outcome(readingsOf(query, question))),
            )
            assertAlike(actual, expected, JSON.stringify(question))
          }
          for (const question of windows) {
            const [actual, expected] = await Promise.all(
              [tables, embedded].map(({ query }) => outcome(windowsOf(query, question))),
            )
            assertAlike(actual, expected, JSON.stringify(question))
          }
          const [actual, expected] = await Promise.all(
            [tables, embedded].map(({ query }) => query.latest('default', 'pump-1')),
          )
          assert.deepEqual(actual, expected)
        } finally {
          await embedded.close()
        }
      },
    )
    await fc.assert(property, { numRuns: runs, endOnFailure: true }).finally(() => tables.close())
  })
}
