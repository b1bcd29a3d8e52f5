import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Oracle, type OracleWindow, windowsOf } from './oracle.ts'
import { StreamProcessor } from './processor.ts'
import {
  anyScript,
  frameOf,
  LIMITS,
  PLAN_OF_ALL,
  type ScriptFrame,
  SERIES,
  TEXTS,
} from './script.ts'
import * as words from './stream.ts'
import type { StreamOutput } from './stream.ts'

const runScript = (script: ScriptFrame[], limits = LIMITS): StreamOutput[] => {
  const processor = new StreamProcessor({ plan: PLAN_OF_ALL, limits })
  return script.map((frame, i) => processor.process(i, frameOf(frame, i === 0)))
}

const runOracle = (script: ScriptFrame[]): Oracle => {
  const oracle = new Oracle(PLAN_OF_ALL)
  for (const frame of script) oracle.process(frame)
  return oracle
}

const fatesOf = ({ fates, frame }: StreamOutput): number[] =>
  Array.from(fates ?? new Uint8Array(new DataView(frame.buffer).getUint32(8, true)))

/** Rows of all partials in order of emission. */
function rowsOf(outputs: StreamOutput[]): Float64Array[] {
  return outputs.flatMap(({ partials }) => {
    const rows: Float64Array[] = []
    for (let at = 0; at < (partials?.length ?? 0); at += words.PARTIAL_STRIDE)
      rows.push(partials!.subarray(at, at + words.PARTIAL_STRIDE))
    return rows
  })
}

/** On-time and late partials merged as storage does it: a later row of a key replaces. */
function mergedWindows(outputs: StreamOutput[]): Map<string, OracleWindow> {
  const rows = new Map<string, Float64Array>()
  for (const row of rowsOf(outputs)) rows.set(row.subarray(0, 4).join(' '), row)
  const merged = new Map<string, OracleWindow>()
  const times = new Map<string, [number, number]>()
  for (const row of rows.values()) {
    const [series, windowMs, startMs, , count, sum, min, max, mean, squares] = row
    const [first, firstUs, last, lastUs] = row.subarray(words.PARTIAL_FIRST)
    const key = `${series} ${windowMs} ${startMs}`
    const a = merged.get(key)
    const b = { series, windowMs, startMs, count, sum, min, max, mean, squares, first, last }
    if (a === undefined) {
      merged.set(key, b as OracleWindow)
      times.set(key, [firstUs!, lastUs!])
      continue
    }
    const both = a.count + count!
    const offset = mean! - a.mean
    a.squares += squares! + (offset * offset * a.count * count!) / both
    a.mean += (offset * count!) / both
    a.sum += sum!
    a.min = Math.min(a.min, min!)
    a.max = Math.max(a.max, max!)
    a.count = both
    if (firstUs! < times.get(key)![0]) a.first = first!
    if (lastUs! > times.get(key)![1]) a.last = last!
  }
  return merged
}

function assertClose(actual: number, expected: number, scale: number, what: string): void {
  const isClose = Math.abs(actual - expected) <= 1e-9 * Math.max(Math.abs(expected), scale)
  assert.ok(isClose, `${what}: ${actual} is not ${expected}`)
}

test('G3 the fate of every reading is the one that the naive memory gives', () => {
  fc.assert(
    fc.property(anyScript, (script) => {
      const fates = runScript(script).flatMap(fatesOf)
      assert.deepEqual(
        fates,
        runOracle(script).readings.map(({ fate }) => fate),
      )
    }),
    { numRuns: 150 },
  )
})

test('G8 merged windows equal the naive ones over fresh readings wherever not dirty', () => {
  let compared = 0
  fc.assert(
    fc.property(anyScript, (script) => {
      const outputs = runScript(script)
      const { readings } = runOracle(script)
      const merged = mergedWindows(outputs)
      const dirty = outputs.flatMap((output) => output.dirty)
      const isDirty = (window: OracleWindow): boolean =>
        dirty.some(
          ({ series, fromMs, toMs }) =>
            series === window.series && fromMs <= window.startMs && window.startMs < toMs,
        )
      for (const windowMs of PLAN_OF_ALL.windowsMs) {
        const expected = windowsOf(readings, windowMs)
        for (const [key, window] of expected) {
          if (isDirty(window)) continue
          const actual = merged.get(key)
          assert.ok(actual, `window ${key} was never emitted`)
          compared++
          const { count, min, max, first, last } = window
          assert.deepEqual(
            { ...actual, sum: 0, mean: 0, squares: 0 },
            { ...window, sum: 0, mean: 0, squares: 0 },
            `${count} ${min} ${max} ${first} ${last}`,
          )
          assertClose(actual.sum, window.sum, Math.max(-min, max), 'sum')
          assertClose(actual.mean, window.mean, Math.max(-min, max), 'mean')
          assertClose(actual.squares, window.squares, 1e-6 * (max - min) ** 2, 'squares')
        }
        for (const [key, window] of merged)
          if (window.windowMs === windowMs && !isDirty(window))
            assert.ok(expected.has(key), `window ${key} holds nothing that was fresh`)
      }
    }),
    { numRuns: 150 },
  )
  assert.ok(compared > 1000, 'most windows are compared, not excused')
})

test('G3 no partial counts more than the fresh readings of its window, dirty or not', () => {
  fc.assert(
    fc.property(anyScript, (script) => {
      const merged = mergedWindows(runScript(script))
      const { readings } = runOracle(script)
      const counts = new Map(
        PLAN_OF_ALL.windowsMs.flatMap((ms) =>
          [...windowsOf(readings, ms)].map(([k, w]) => [k, w.count]),
        ),
      )
      for (const [key, { count }] of merged) assert.ok(count <= (counts.get(key) ?? 0), key)
    }),
    { numRuns: 100 },
  )
})

test('S1 an on-time partial is emitted once, and only a late one replaces itself', () => {
  fc.assert(
    fc.property(anyScript, (script) => {
      const seen = new Set<string>()
      for (const row of rowsOf(runScript(script))) {
        const key = row.subarray(0, 4).join(' ')
        assert.ok(row[words.PARTIAL_IS_LATE] === 1 || !seen.has(key), key)
        seen.add(key)
      }
    }),
    { numRuns: 100 },
  )
})

test('S1 on-time partials are of windows that it says are closed, and were not before', () => {
  let silent = 0
  fc.assert(
    fc.property(anyScript, (script) => {
      const before = new Map<number, number>()
      for (const output of runScript(script)) {
        const closed = new Map(output.closed.map((one) => [one.windowMs, one.beforeMs]))
        if (closed.size > 0 && output.partials === undefined) silent++
        for (const row of rowsOf([output])) {
          if (row[words.PARTIAL_IS_LATE] === 1) continue
          const [windowMs, startMs] = [row[words.PARTIAL_WINDOW_MS]!, row[words.PARTIAL_START_MS]!]
          assert.ok(startMs < closed.get(windowMs)!, `${windowMs} at ${startMs}: not closed`)
          assert.ok(startMs >= (before.get(windowMs) ?? -Infinity), 'it was closed before')
        }
        for (const [windowMs, beforeMs] of closed) {
          assert.ok(beforeMs >= (before.get(windowMs) ?? -Infinity))
          before.set(windowMs, beforeMs)
        }
      }
    }),
    { numRuns: 100 },
  )
  assert.ok(silent > 0, 'never was a window closed in which nobody spoke')
})

test('G7 rule episodes equal those of the naive interpreter, each once', () => {
  let episodes = 0
  const fired = new Set<string>()
  fc.assert(
    fc.property(anyScript, (script) => {
      const events = runScript(script).flatMap(({ ruleEvents }) => ruleEvents)
      const actual = events.map((event) => ({
        ruleId: event.ruleId,
        ruleVersion: event.ruleVersion,
        device: Number(event.deviceId.slice('device-'.length)),
        state: event.state,
        triggeredAtUs: event.triggeredAtUs,
        resolvedAtUs: event.resolvedAtUs,
        breachEventTimeUs: event.breachEventTimeUs,
      }))
      const expected = runOracle(script).episodes
      assert.deepEqual(actual.slice(0, 200), expected.slice(0, 200))
      assert.equal(actual.length, expected.length)
      for (const { ruleId, state } of actual) if (state === 'firing') fired.add(ruleId)
      episodes += actual.length
    }),
    { numRuns: 200 },
  )
  assert.ok(episodes > 100)
  const ids = [...PLAN_OF_ALL.rules.map(({ id }) => id), 'coming']
  assert.deepEqual(
    ids.filter((id) => !fired.has(id)),
    [],
    'every rule fires somewhere',
  )
})

test('anomalies equal those of two passes over the readings before', () => {
  let anomalies = 0
  fc.assert(
    fc.property(anyScript, (script) => {
      const actual = runScript(script).flatMap((output) => output.anomalies)
      const expected = runOracle(script).anomalies
      assert.deepEqual(
        actual.map(({ series, eventTimeUs }) => [series, eventTimeUs]),
        expected.map(({ series, eventUs }) => [series, eventUs]),
      )
      for (const [i, { score }] of actual.entries())
        assertClose(score, expected[i]!.score, 0, 'score')
      anomalies += actual.length
    }),
    { numRuns: 150 },
  )
  assert.ok(anomalies > 100)
})

test('S1 S2 a restart from a checkpoint at any entry emits the same outputs again', () => {
  const limits = { ...LIMITS, latePartialsMax: 6, stateTtlUs: 20 * 60e6 }
  const definitions = { series: SERIES, texts: TEXTS }
  fc.assert(
    fc.property(anyScript, fc.array(fc.nat(100), { maxLength: 4 }), (script, places) => {
      const straight = runScript(script, limits)
      const restartsAt = new Set(places.map((place) => place % script.length))
      let processor = new StreamProcessor({ plan: PLAN_OF_ALL, limits })
      const stored = new Map<string, Uint8Array<ArrayBuffer>>()
      for (const [i, frame] of script.entries()) {
        const output = processor.process(i, frameOf(frame, i === 0))
        assert.deepEqual({ ...output, frame: 0 }, { ...straight[i], frame: 0 })
        if (!restartsAt.has(i)) continue
        for (const { name, bytes } of processor.checkpoint(i).parts) stored.set(name, bytes)
        const parts = [...stored].map(([name, bytes]) => ({ name, bytes }))
        processor = new StreamProcessor({ plan: PLAN_OF_ALL, limits })
        processor.restore(parts, definitions)
      }
    }),
    { numRuns: 200 },
  )
})
