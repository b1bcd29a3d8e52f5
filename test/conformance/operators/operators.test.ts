/**
 * The operators of the embedded engine against the vectors. Those of `engines/flink` are held to
 * the same files: who changes one engine alone has a red test here, or there.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { evaluate } from '../../../src/pipeline/program.ts'
import { observeTime } from '../../../src/stream/deduplication.ts'
import { DEFAULT_STREAM_LIMITS } from '../../../src/stream/limits.ts'
import { StreamProcessor } from '../../../src/stream/processor.ts'
import { frameOf, PLAN } from '../../../src/stream/script.ts'
import { SeriesState } from '../../../src/stream/series-state.ts'
import * as words from '../../../src/stream/stream.ts'
import { Watermark } from '../../../src/stream/watermark.ts'
import { ZScore } from '../../../src/stream/zscore.ts'
import { assertClose, assertRow } from './compare.ts'
import { textOf } from './generate.ts'
import { asJson, inOrder, pathOf, readVectors, VECTOR_NAMES, type Vectors } from './vectors.ts'
import { frameOfArrival } from './window-cases.ts'

const LIMITS = { ...DEFAULT_STREAM_LIMITS, seriesMax: 1024, deviceMax: 1024 }

for (const name of VECTOR_NAMES) {
  test(`${name}.json is what the oracle says today: npm run vectors`, () => {
    assert.ok(readFileSync(pathOf(name), 'utf8') === textOf(name))
  })
}

for (const { name, steps } of readVectors('deduplication')) {
  test(`deduplication: ${name}`, () => {
    const state = new SeriesState(1024, { slots: 2, sizes: 2 })
    const hot = state.wake(0)
    for (const [i, [time, fate]] of steps.entries()) {
      assert.equal(observeTime(hot, 0, state.cold[0]!, 0, time), fate, `step ${i}`)
    }
  })
}

for (const { name, n, threshold, steps } of readVectors('zscore')) {
  test(`z-score: ${name}`, () => {
    const detector = {
      id: 'z',
      type: undefined,
      metric: 'a',
      kind: 'zscore',
      n,
      threshold,
    } as const
    const zscore = new ZScore(detector, 1024)
    const record = zscore.attach(0)
    for (const [i, [value, expected]] of steps.entries()) {
      const score = zscore.observe(record, value)
      if (expected === null) assert.ok(Number.isNaN(score), `step ${i}: ${score}`)
      else assertClose(score, expected, { scale: 0, what: `step ${i}` })
    }
  })
}

for (const { name, steps, ...time } of readVectors('watermark')) {
  test(`watermark: ${name}`, () => {
    const watermark = new Watermark(time)
    for (const [i, [kind, a, b, hasMoved, us]] of steps.entries()) {
      assert.equal(watermark[kind](a, b), hasMoved, `step ${i}`)
      assert.equal(watermark.watermarkUs, us ?? -Infinity, `step ${i}`)
    }
  })
}

for (const one of readVectors('windows')) test(`windows: ${one.name}`, () => assertWindows(one))

function assertWindows({ time, windowsMs, steps }: Vectors['windows']): void {
  const plan = { ...PLAN, windowsMs, time: { ...PLAN.time, ...time }, rules: [], detectors: [] }
  const processor = new StreamProcessor({ plan, limits: LIMITS })
  let tooLate = 0
  for (const [i, step] of steps.entries()) {
    const what = `step ${i}`
    const { partials, fates } = processor.process(i, frameOf(frameOfArrival(step), i === 0))
    assert.equal(fates, undefined, `${what}: all readings are fresh`)
    const actual = inOrder(rowsOf(partials))
    assert.equal(actual.length, step.partials.length, `${what}: partials`)
    for (const [at, row] of actual.entries()) assertRow(row, step.partials[at]!, what)
    const statistics = processor.statistics()
    assert.equal(statistics.watermarkUs, step.watermarkUs ?? -Infinity, what)
    assert.equal(statistics.tooLate - tooLate, step.tooLate, `${what}: too late`)
    tooLate = statistics.tooLate
  }
}

const rowsOf = (partials: Float64Array = new Float64Array()): number[][] =>
  Array.from({ length: partials.length / words.PARTIAL_STRIDE }, (_, at) => [
    ...partials.subarray(at * words.PARTIAL_STRIDE, (at + 1) * words.PARTIAL_STRIDE),
  ])

for (const { name, instructions, stackDepthMax, textIds, steps } of readVectors('program')) {
  test(`program: ${name}`, () => {
    const stack = new Float64Array(stackDepthMax)
    for (const [values, expected] of steps) {
      const variables = Float64Array.from(values)
      const result = evaluate({ instructions }, variables, stack, (index) => textIds[index]!)
      // 0 and -0 are the same number, and JSON has but one of them.
      assert.ok(asJson(result) == expected, `${values.join(' ')}: ${result} is not ${expected}`)
    }
  })
}
