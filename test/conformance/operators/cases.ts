/** The cases of all operators but windows, answered by the naive oracle. */
import fc from 'fast-check'
import { Oracle, twoPass } from '../../../src/stream/oracle.ts'
import { messageAt, METRIC_A, PLAN } from '../../../src/stream/script.ts'
import { NaiveWatermark } from './naive.ts'
import { anyTree, depthOf, eachOperation, programOf, valueOf, type Tree } from './trees.ts'
import { asJson, type ProgramCase, type Vectors, type WatermarkStep } from './vectors.ts'
import { windowCases } from './window-cases.ts'

const SEED = 20_260_101
const sample = <T>(arbitrary: fc.Arbitrary<T>, numRuns: number): T[] =>
  fc.sample(arbitrary, { seed: SEED, numRuns })

const METRIC = 'a'
const START_US = 1_700_000_000_000_000

export const CASES: { [N in keyof Vectors]: () => Vectors[N][] } = {
  deduplication: deduplicationCases,
  zscore: zscoreCases,
  watermark: watermarkCases,
  windows: windowCases,
  program: programCases,
}

function deduplicationCases(): Vectors['deduplication'][] {
  const upTo = (n: number, by = 1): number[] => Array.from({ length: n }, (_, i) => (i + 1) * by)
  const disorder = fc.array(fc.nat(150), { minLength: 100, maxLength: 300 })
  return [
    fatesOf('whichever of the last 64 is repeated', [...upTo(100), ...upTo(100)]),
    fatesOf('at the floor, above it, dropped itself', [...upTo(65, 10), 10, 11, 11, 20]),
    fatesOf('an older time takes its place in the order', [...upTo(64, 10), 325, 10, 20, 325]),
    fatesOf('the newest first', upTo(80).toReversed()),
    fatesOf(
      'times of today',
      [3, 1, 2, 3, 1].map((us) => START_US + us),
    ),
    ...sample(disorder, 6).map((times, i) => fatesOf(`any order, ${i}`, times)),
  ]
}

function fatesOf(name: string, times: number[]): Vectors['deduplication'] {
  const oracle = new Oracle({ ...PLAN, rules: [], detectors: [] })
  for (const eventUs of times) {
    oracle.process({ baseUs: 0, messages: [{ ...messageAt(0), eventUs }] })
  }
  return { name, steps: oracle.readings.map(({ eventUs, fate }) => [eventUs, fate]) }
}

function zscoreCases(): Vectors['zscore'][] {
  const noise = fc.integer({ min: -1000, max: 1000 }).map((k) => k / 1000)
  const value = fc.oneof(
    { weight: 20, arbitrary: noise },
    { weight: 1, arbitrary: fc.constantFrom(1e6, -1e9, 1e4) },
  )
  const values = fc.array(value, { minLength: 60, maxLength: 120 })
  const n = fc.integer({ min: 2, max: 40 })
  const [early, outlier] = [Array<number>(5).fill(5), [9, 5]]
  const largeMean = Array.from({ length: 200 }, (_, i) => 1e9 + ((i * 7919) % 1024) / 1024)
  const nearThreshold = 3 / Math.sqrt(twoPass([0, 2, 0, 2]).squares / 3)
  return [
    scoresOf('too few, or all equal', { n: 4, threshold: 0 }, [...early, ...outlier]),
    scoresOf('a large mean with a small spread', { n: 32, threshold: 1 }, largeMean),
    scoresOf('equals the threshold', { n: 4, threshold: nearThreshold }, [0, 2, 0, 2, 4]),
    scoresOf('below the threshold', { n: 4, threshold: nearThreshold }, [0, 2, 0, 2, 3.999_999]),
    ...sample(fc.tuple(values, n), 6).map(([values, n], i) =>
      scoresOf(`outliers and steps, ${i}`, { n, threshold: i % 2 === 0 ? 0 : 1.618 }, values),
    ),
  ]
}

/** What the oracle finds where a detector looks at all values as they come. */
function scoresOf(
  name: string,
  { n, threshold }: { n: number; threshold: number },
  values: number[],
): Vectors['zscore'] {
  const detector = { id: 'z', type: 'pump', metric: METRIC, kind: 'zscore' as const, n, threshold }
  const oracle = new Oracle({ ...PLAN, rules: [], detectors: [detector] })
  const scores = values.map((value, i): number | null => {
    const before = oracle.anomalies.length
    const message = messageAt(i, { readings: [[METRIC_A, value]] })
    oracle.process({ baseUs: message.eventUs, messages: [message] })
    return oracle.anomalies[before]?.score ?? null
  })
  return { name, n, threshold, steps: values.map((value, i) => [value, scores[i]!]) }
}

type Call = ['observe' | 'tick', number, number]

function watermarkCases(): Vectors['watermark'][] {
  const seconds = (n: number): number => Math.round(n * 1e6)
  const call = (kind: Call[0], a: number, b: number): Call => [kind, seconds(a), seconds(b)]
  const ticks = (from: number, to: number): Call[] =>
    Array.from({ length: to - from + 1 }, (_, i) => call('tick', from + i, 1))
  const anyCall = fc.record({
    isTick: fc.boolean(),
    stepMs: fc.integer({ min: 0, max: 40_000 }),
    lagMs: fc.integer({ min: -4000, max: 60_000 }),
  })
  return [
    movesOf('the highest event time minus the disorder, never back', [
      ...[call('observe', 100, 100), call('observe', 90, 101), call('observe', 100, 102)],
      call('observe', 100.000_001, 103),
    ]),
    movesOf('idle: by the ticks', [
      ...[call('tick', 500, 1), call('observe', 100, 100), call('tick', 129.9, 29.9)],
      ...[call('tick', 200, 70.1), call('observe', 165, 201), call('tick', 220, 1)],
    ]),
    movesOf('a clock that was set back: as fast as time goes', [
      ...[call('observe', 1000, 10), ...ticks(11, 60)],
    ]),
    movesOf('without disorder, by a millisecond', [call('observe', 7, 7)], 0),
    ...sample(fc.array(anyCall, { minLength: 30, maxLength: 60 }), 4).map((calls, i) => {
      let nowMs = START_US / 1000
      const timed = calls.map(({ isTick, stepMs, lagMs }): Call => {
        nowMs += stepMs
        return isTick
          ? ['tick', nowMs * 1000, stepMs * 1000]
          : ['observe', (nowMs - lagMs) * 1000, nowMs * 1000]
      })
      return movesOf(`any order, ${i}`, timed)
    }),
  ]
}

function movesOf(name: string, calls: Call[], disorderUs = 10e6): Vectors['watermark'] {
  const time = { disorderUs, idleTimeoutUs: 30e6 }
  const watermark = new NaiveWatermark(time)
  const steps = calls.map(([kind, a, b]): WatermarkStep => {
    const before = watermark.us
    const after = watermark[kind](a, b)
    return [kind, a, b, after !== before, after === -Infinity ? null : after]
  })
  return { name, ...time, steps }
}

/** Of three metrics; the first by the second is a number, an infinity or none. */
const GRID = [0, 1, -7].flatMap((a) => [0, 2].flatMap((b) => [0, 2.5, -0.5].map((c) => [a, b, c])))
const QUOTIENT: Tree = {
  ...{ kind: 'binary', operation: 'divide' },
  ...{ left: { kind: 'metric', index: 0 }, right: { kind: 'metric', index: 1 } },
}
const VALUES = [0, 1, -1, 79.5, 80, 80.5, 1e300, 0.1]

function programCases(): ProgramCase[] {
  const compare = (operation: 'greater' | 'equal', right: Tree): Tree => ({
    ...{ kind: 'binary', operation, right },
    left: { kind: 'metric', index: 0 },
  })
  const row = fc.tuple(...[0, 1, 2].map(() => fc.constantFrom(...VALUES)))
  const cases = sample(fc.tuple(anyTree, fc.array(row, { minLength: 5, maxLength: 5 })), 400)
  const random = cases
    .filter(([tree]) => programOf(tree).length > 3 && programOf(tree).length < 40)
    .slice(0, 60)
    .map(([tree, rows], i) => resultsOf(`any condition, ${i}`, { tree, rows, textIds: [7, -1] }))
  const rows = [...[80.5, 80, 79.5].map((a) => [a, 2]), ...[1, -1, 0].map((a) => [a, 0])]
  return [
    resultsOf('a > 80', {
      tree: compare('greater', { kind: 'constant', value: 80 }),
      ...{ rows, textIds: [] },
    }),
    resultsOf('a text that nobody has said yet', {
      tree: compare('equal', { kind: 'text', index: 0 }),
      ...{ rows: [[0], [7]], textIds: [-1] },
    }),
    resultsOf('a text with a number below -1', {
      tree: compare('equal', { kind: 'text', index: 0 }),
      ...{ rows: [[-7], [-1]], textIds: [-7] },
    }),
    resultsOf('0 / 0 equals nothing, itself included', {
      tree: { kind: 'binary', operation: 'not-equal', left: QUOTIENT, right: QUOTIENT },
      ...{ rows: [[0, 0]], textIds: [] },
    }),
    ...eachOperation().map(([name, tree]) => resultsOf(name, { tree, rows: GRID, textIds: [] })),
    ...random,
  ]
}

function resultsOf(
  name: string,
  { tree, rows, textIds }: { tree: Tree; rows: number[][]; textIds: number[] },
): ProgramCase {
  return {
    name,
    instructions: programOf(tree),
    stackDepthMax: depthOf(tree),
    textIds,
    steps: rows.map((values) => [values, asJson(valueOf(tree, values, textIds))]),
  }
}
