import assert from 'node:assert/strict'
import { test } from 'node:test'
import { twoPass } from './oracle.ts'
import { StreamProcessor } from './processor.ts'
import { frameOf, LIMITS, messageAt, METRIC_A, METRIC_LABEL, PLAN, timeAt } from './script.ts'
import type { ScriptMessage } from './script.ts'
import * as words from './stream.ts'
import type { StreamOutput } from './stream.ts'

interface Row {
  windowMs: number
  startS: number
  isLate: boolean
  count: number
}

/** Sends messages one frame each (numbers: ticks, in s); returns what each frame emitted. */
function send(steps: (ScriptMessage | number)[], limits = LIMITS, plan = PLAN): Sent[] {
  const processor = new StreamProcessor({ plan, limits })
  return steps.map((step, i) => {
    const isTick = typeof step === 'number'
    const baseUs = isTick ? timeAt(step) : timeAt(0)
    const output = processor.process(
      i,
      frameOf({ baseUs, messages: isTick ? [] : [step] }, i === 0),
    )
    return { output, rows: rowsOf(output) }
  })
}
interface Sent {
  output: StreamOutput
  rows: Row[]
}

function rowsOf({ partials }: StreamOutput): Row[] {
  const rows: Row[] = []
  for (let at = 0; at < (partials?.length ?? 0); at += words.PARTIAL_STRIDE)
    rows.push({
      windowMs: partials![at + words.PARTIAL_WINDOW_MS]!,
      startS: partials![at + words.PARTIAL_START_MS]! / 1000 - timeAt(0) / 1e6,
      isLate: partials![at + words.PARTIAL_IS_LATE] === 1,
      count: partials![at + words.PARTIAL_COUNT]!,
    })
  return rows
}

test('a window is emitted when the watermark reaches its end - 1 ms, and not 1 µs before', () => {
  const [, before, at, after] = send([
    messageAt(30),
    messageAt(69.998_999),
    messageAt(69.999),
    messageAt(80),
  ])
  assert.deepEqual(before!.rows, [])
  assert.deepEqual(at!.rows, [{ windowMs: 60_000, startS: 0, isLate: false, count: 1 }])
  assert.deepEqual(after!.rows, [], 'once')
})

test('a reading in the last millisecond of a window is on time even without disorder', () => {
  const plan = { ...PLAN, time: { ...PLAN.time, disorderUs: 0 } }
  const sent = send([messageAt(59.9999), messageAt(59.999_95), messageAt(61)], LIMITS, plan)
  assert.deepEqual(sent.map(({ rows }) => rows).flat(), [
    { windowMs: 60_000, startS: 0, isLate: false, count: 2 },
  ])
})

test('readings within the disorder are on time, in the last window and in the next', () => {
  const sent = send([messageAt(59), messageAt(64), messageAt(55), messageAt(65), messageAt(131)])
  const row = { windowMs: 60_000, isLate: false, count: 2 }
  assert.deepEqual(
    sent.flatMap(({ rows }) => rows),
    [
      { ...row, startS: 0 },
      { ...row, startS: 60 },
    ],
  )
})

test('the larger window merges what its smaller ones emitted, after the last of them', () => {
  const sent = send([messageAt(10), messageAt(70), messageAt(130), messageAt(311)])
  assert.deepEqual(sent.at(-1)!.rows, [
    { windowMs: 60_000, startS: 120, isLate: false, count: 1 },
    { windowMs: 300_000, startS: 0, isLate: false, count: 3 },
  ])
})

test('a late reading goes to the late partial of the small and into the open large window', () => {
  const sent = send([messageAt(10), messageAt(80), messageAt(20), messageAt(21), messageAt(400)])
  const late = { windowMs: 60_000, startS: 0, isLate: true }
  assert.deepEqual(sent[2]!.rows, [{ ...late, count: 1 }])
  assert.deepEqual(sent[3]!.rows, [{ ...late, count: 2 }], 'an upsert of the whole value')
  const large = sent[4]!.rows.filter(({ windowMs }) => windowMs === 300_000)
  assert.deepEqual(large, [{ windowMs: 300_000, startS: 0, isLate: false, count: 4 }])
})

test('lateness ends when the watermark reaches the window’s end plus the allowed lateness', () => {
  // The 5 min window of second 10 ends at 300, its minute at 60; the watermark is 10 s behind.
  const still = send([messageAt(3669.999_999), messageAt(10)])[1]!
  assert.deepEqual(still.output.dirty, [])
  assert.equal(still.rows.length, 2)
  const over = send([messageAt(3670), messageAt(10)])[1]!
  assert.deepEqual(
    over.rows.map(({ windowMs }) => windowMs),
    [300_000],
  )
  const fromMs = timeAt(0) / 1000
  assert.deepEqual(over.output.dirty, [{ series: 0, fromMs, toMs: fromMs + 300_000 }])
  const allOver = send([messageAt(3910), messageAt(10)])[1]!
  assert.deepEqual(allOver.rows, [])
  assert.equal(allOver.output.dirty.length, 1)
})

test('promise 5: over the bound of late partials, a late reading is a dirty range', () => {
  const limits = { ...LIMITS, latePartialsMax: 1 }
  const steps = [messageAt(200), messageAt(10), messageAt(70), messageAt(11)]
  const sent = send(steps, limits)
  assert.deepEqual(sent[1]!.output.dirty, [])
  assert.deepEqual(sent[2]!.rows, [])
  assert.equal(sent[2]!.output.dirty.length, 1)
  assert.equal(sent[3]!.rows[0]!.count, 2, 'what has room goes on')
})

test('an idle partition’s windows are emitted by ticks, and the watermark never goes back', () => {
  const sent = send([messageAt(5), 20, 99.998, 99.999, messageAt(6), messageAt(61)])
  assert.deepEqual(sent[1]!.rows, [], 'not yet idle')
  assert.deepEqual(sent[2]!.rows, [], 'tick - disorder - idle timeout = 59.998')
  assert.equal(sent[3]!.rows[0]!.count, 1)
  assert.ok(sent[4]!.rows[0]!.isLate)
  assert.deepEqual(sent[5]!.rows, [])
})

test('historical readings are stored and marked dirty, and move no watermark', () => {
  const historical = { isHistorical: true }
  const sent = send([
    messageAt(0),
    messageAt(1000, historical),
    messageAt(1, historical),
    messageAt(1, historical),
    messageAt(2),
    messageAt(71),
  ])
  assert.equal(sent[1]!.output.dirty.length, 1)
  assert.equal(sent[2]!.output.dirty.length, 1)
  assert.deepEqual([...sent[3]!.output.fates!], [words.FATE_DUPLICATE])
  assert.deepEqual(
    sent.slice(0, 5).flatMap(({ rows }) => rows),
    [],
  )
  assert.equal(sent[5]!.rows[0]!.count, 2, 'only what was not historical')
})

test('texts have no windows', () => {
  const readings: [number, number][] = [
    [METRIC_A, 1],
    [METRIC_LABEL, 0],
  ]
  const sent = send([messageAt(0, { readings }), messageAt(80)])
  assert.equal(sent[1]!.rows.length, 1)
})

test('G8 mean and squares are within 1e-9 for a large mean with a small spread', () => {
  const values = Array.from({ length: 600 }, (_, i) => 1e9 + ((i * 7919) % 1000) / 1000)
  const steps = values.map((value, i) => messageAt(i / 2, { readings: [[METRIC_A, value]] }))
  const sent = send([...steps, messageAt(311)])
  const { partials } = sent.at(-1)!.output
  const at = partials!.length - words.PARTIAL_STRIDE
  assert.equal(partials![at + words.PARTIAL_WINDOW_MS], 300_000)
  const { mean, squares } = twoPass(values)
  assert.ok(Math.abs(partials![at + words.PARTIAL_MEAN]! - mean) <= 1e-9 * mean)
  assert.ok(Math.abs(partials![at + words.PARTIAL_SQUARES]! - squares) <= 1e-9 * squares)
})

test('G3 a repeated message id makes the whole message a duplicate, for that device only', () => {
  const twice = messageAt(1, { identity: 7 })
  const sent = send([
    twice,
    { ...twice, eventUs: timeAt(2) },
    { ...twice, device: 1 },
    ...Array.from({ length: 128 }, (_, i) => messageAt(3 + i / 100, { identity: 100 + i })),
    { ...twice, eventUs: timeAt(9) },
  ])
  assert.deepEqual([...sent[1]!.output.fates!], [words.FATE_DUPLICATE])
  assert.equal(sent[2]!.output.fates, undefined)
  assert.equal(sent.at(-1)!.output.fates, undefined, '128 ids later it is forgotten')
})
