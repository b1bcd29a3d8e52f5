/**
 * The functions of the Flink job and the stream stage of TypeScript: the same scripts, the same
 * answers, whatever is lost and done again in between.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { decodeWindow, deviceKey, encodeRules } from '../../../src/entries/entries.ts'
import { anyScript, PLAN_OF_ALL } from '../../../src/stream/script.ts'
import { embedded } from './embedded.ts'
import { encodeMessage, entriesOf } from './entries.ts'
import { assertSame, outcomeOf, type Topics } from './outcome.ts'
import { StreamRun, type Life } from './stream-run.ts'

const skip = StreamRun.missing() ?? false
const LARGEST_MS = PLAN_OF_ALL.windowsMs.at(-1)!

let java: StreamRun
before(() => {
  if (skip === false) java = StreamRun.start()
})
after(() => java?.[Symbol.asyncDispose]())

test('any script gives the same, key by key', { skip }, async () => {
  await fc.assert(
    fc.asyncProperty(anyScript, async (script) => {
      const entries = entriesOf(script)
      const expected = outcomeOf(embedded(PLAN_OF_ALL, entries), LARGEST_MS)
      const actual = await java.run(PLAN_OF_ALL, entries, [])
      assertSame(outcomeOf(actual, LARGEST_MS), expected)
    }),
    { numRuns: Number(process.env['WEIR_RUNS'] ?? 100) },
  )
})

/** What nobody can read, what others wrote in their own way, and what changes nothing. */
const oddEntries: readonly Uint8Array[] = [
  new Uint8Array(0),
  Uint8Array.of(1, 2, 3),
  Uint8Array.of(0, 0, 0, 0x80, 0),
  encodeRules([{ remove: { id: 'nobody', version: 1 } }], 1),
  encodeRules([{ put: { id: 'half', version: 9 } }], 1),
  ...[{ 'weir.rules': '{' }, { 'weir.device': '{}' }, { other: 'x' }].map((told) =>
    encodeMessage({ told }),
  ),
  encodeMessage({ told: { 'weir.rules': '[]', 'weir.device': '{}' } }),
  encodeMessage({ told: {}, numbers: [['a', 1]] }),
  encodeMessage({ device: 'device-1', numbers: [['a', NaN]] }),
  encodeMessage({ device: 'device-1' }),
  encodeMessage({
    device: 'device-1',
    texts: [
      ['label', 'ok'],
      ['label', 'fault'],
    ],
  }),
  encodeMessage({ device: 'device-1', told: { line: 'b', site: 'ä' }, numbers: [['a', 96]] }),
  encodeMessage({ device: 'device-1', told: { site: 'ä', line: 'b' }, numbers: [['a', 97]] }),
  encodeMessage({
    device: 'dévice',
    type: 'fan',
    numbers: [
      ['a', 120],
      ['a', 20],
    ],
  }),
]

/** Of the device that it begins with. */
function keyOf(value: Uint8Array): Uint8Array | undefined {
  const [, device] = /^.default.(d.vice(-1)?)/su.exec(text.decode(value)) ?? []
  return device === undefined ? undefined : deviceKey('default', device)
}
const text = new TextDecoder()

test('entries that are no messages, or others’, give the same', { skip }, async () => {
  const anyOdd = fc.array(fc.tuple(fc.nat(100), fc.constantFrom(...oddEntries)), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(anyScript, anyOdd, async (script, odd) => {
      const entries = entriesOf(script)
      for (const [place, value] of odd) {
        const before = entries[place % entries.length]!
        entries.splice(place % entries.length, 0, { ...before, key: keyOf(value), value })
      }
      for (const [offset, entry] of entries.entries()) entry.offset = offset
      const expected = outcomeOf(embedded(PLAN_OF_ALL, entries), LARGEST_MS)
      assertSame(outcomeOf(await java.run(PLAN_OF_ALL, entries, []), LARGEST_MS), expected)
    }),
    { numRuns: Number(process.env['WEIR_RUNS'] ?? 100) },
  )
})

const anyLives = fc
  .array(fc.tuple(fc.nat(100), fc.nat(100)), { maxLength: 4 })
  .map((pairs) => pairs.map(([a, b]) => ({ save: Math.min(a, b), end: Math.max(a, b) })))

/** Of those that fit the entries: each begins where the one before was saved. */
function livesOf(some: readonly Life[], count: number): Life[] {
  const lives: Life[] = []
  let from = 0
  for (const { save, end } of some.toSorted((x, y) => x.end - y.end)) {
    if (end > count || save < from) continue
    lives.push({ save, end })
    from = save
  }
  return lives
}

test('any script with any crashes gives the same', { skip }, async () => {
  await fc.assert(
    fc.asyncProperty(anyScript, anyLives, async (script, some) => {
      const entries = entriesOf(script)
      const expected = outcomeOf(embedded(PLAN_OF_ALL, entries), LARGEST_MS)
      const actual = await java.run(PLAN_OF_ALL, entries, livesOf(some, entries.length))
      assertSame(outcomeOf(actual, LARGEST_MS), expected)
      assertCovered(actual)
    }),
    { numRuns: Number(process.env['WEIR_RUNS'] ?? 100) },
  )
})

/** Behind a watermark there is no partial that is on time and new of a window that it is past. */
function assertCovered({ windows }: Topics): void {
  let watermarkMs = -Infinity
  const known = new Set<string>()
  for (const { value } of windows) {
    const entry = decodeWindow(value)
    if ('watermarkMs' in entry) {
      watermarkMs = Math.max(watermarkMs, entry.watermarkMs)
      continue
    }
    const { row, series } = entry
    const [, windowMs = 0, startMs = 0, isLate] = row
    const key = JSON.stringify([series.deviceId, series.metric, windowMs, startMs])
    const isNew = isLate === 0 && !known.has(key)
    known.add(key)
    assert.ok(!isNew || startMs + windowMs > watermarkMs, `${key} behind ${watermarkMs}`)
  }
}
