import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Plan } from '../pipeline/pipeline.ts'
import { StreamProcessor } from './processor.ts'
import { frameOf, LIMITS, messageAt, METRIC_A, PLAN, SERIES, TEXTS, timeAt } from './script.ts'
import type { ScriptMessage } from './script.ts'
import { FATE_DUPLICATE, FATE_UNVERIFIED, type StreamOutput } from './stream.ts'

const HOUR_US = 3600e6

/** A processor that is fed one frame a call, at the message's own time. */
function start(plan: Plan = PLAN, limits = LIMITS) {
  const processor = new StreamProcessor({ plan, limits })
  let offset = 0
  const feed = (baseUs: number, ...messages: ScriptMessage[]): StreamOutput =>
    processor.process(offset, frameOf({ baseUs, messages }, offset++ === 0))
  return { processor, feed }
}

function restart(from: StreamProcessor, plan: Plan) {
  const next = start(plan)
  next.processor.restore(from.checkpoint(0).parts, { series: SERIES, texts: TEXTS })
  return next
}

const hot = (atS: number): ScriptMessage => messageAt(atS, { readings: [[METRIC_A, 99]] })

test('S2 a checkpoint holds only the chunks that changed since the last', () => {
  const { processor, feed } = start()
  feed(timeAt(0), messageAt(0))
  const names = (offset: number) => processor.checkpoint(offset).parts.map(({ name }) => name)
  const first = names(0)
  assert.deepEqual(
    first.filter((name) => name.startsWith('series')),
    ['series-0'],
  )
  feed(timeAt(1))
  assert.deepEqual(names(1), ['plan', 'clock'])
})

test('a checkpoint is due by readings, or by ingest time', () => {
  const limits = { ...LIMITS, checkpointReadings: 2, checkpointIntervalUs: 10e6 }
  const { processor, feed } = start(PLAN, limits)
  feed(timeAt(0), messageAt(0))
  assert.equal(processor.shouldCheckpoint, false)
  feed(timeAt(1), messageAt(1))
  assert.equal(processor.shouldCheckpoint, true)
  processor.checkpoint(1)
  assert.equal(processor.shouldCheckpoint, false)
  feed(timeAt(10.9))
  assert.equal(processor.shouldCheckpoint, false)
  feed(timeAt(11))
  assert.equal(processor.shouldCheckpoint, true)
})

test('other windows after a restart: memory is kept, what was open becomes dirty', () => {
  const { processor, feed } = start()
  feed(timeAt(0), messageAt(0), messageAt(61), messageAt(75))
  const plan = { ...PLAN, windowsMs: [60_000, 600_000] }
  const next = restart(processor, plan)
  const output = next.feed(timeAt(80), messageAt(75), messageAt(76))
  assert.deepEqual([...output.fates!], [FATE_DUPLICATE, 0])
  const [dirty] = output.dirty
  assert.equal(dirty!.series, 0)
  assert.ok(dirty!.fromMs <= timeAt(0) / 1000 && dirty!.toMs > timeAt(75) / 1000)
  const emitted = next.feed(timeAt(200), messageAt(200)).partials!
  assert.equal(emitted[4], 1, 'only what came after the restart')
})

test('a firing rule that is gone after a restart is resolved with the same id', () => {
  const { processor, feed } = start()
  const [fired] = feed(timeAt(0), hot(0)).ruleEvents
  const plan = { ...PLAN, rules: PLAN.rules.filter(({ id }) => id !== 'burning') }
  const [resolved] = restart(processor, plan).feed(timeAt(5)).ruleEvents
  assert.equal(resolved!.id, fired!.id)
  assert.equal(resolved!.state, 'resolved')
})

test('rules and detectors keep their state when others are added before them', () => {
  const { processor, feed } = start()
  feed(timeAt(0), hot(0))
  const plan = {
    ...PLAN,
    rules: PLAN.rules.toReversed(),
    detectors: PLAN.detectors.toReversed(),
  }
  const { feed: feedNext } = restart(processor, plan)
  assert.deepEqual(feedNext(timeAt(29.9)).ruleEvents, [])
  assert.equal(feedNext(timeAt(30)).ruleEvents[0]!.ruleId, 'hot')
})

test('promise 5: a silent series forgets its times, rules and identities, and its chunk sleeps', () => {
  const limits = { ...LIMITS, stateTtlUs: HOUR_US }
  const { processor, feed } = start(PLAN, limits)
  feed(timeAt(0), messageAt(0, { identity: 5 }), messageAt(1))
  const awake = processor.statistics().stateBytes
  for (let minute = 0; minute <= 70; minute++) feed(timeAt(minute * 60))
  assert.ok(processor.statistics().stateBytes < awake - 800 * 1024, 'only floors are left')
  const again = feed(timeAt(4300), messageAt(0, { identity: 5 }), messageAt(1), messageAt(4300))
  assert.deepEqual([...again.fates!], [FATE_UNVERIFIED, FATE_UNVERIFIED, 0])
})

test('promise 5: a rule that was pending when its device fell silent for good never fires', () => {
  const limits = { ...LIMITS, stateTtlUs: HOUR_US }
  const slow = PLAN.rules.map((rule) => ({ ...rule, forUs: 2 * HOUR_US }))
  const { feed } = start({ ...PLAN, rules: slow }, limits)
  feed(timeAt(0), hot(0))
  const events = Array.from({ length: 150 }, (_, minute) => feed(timeAt(minute * 60)).ruleEvents)
  assert.deepEqual(events.flat(), [])
})

test('a series that was never defined is refused aloud', () => {
  const { feed } = start()
  feed(timeAt(0))
  const stranger = messageAt(1, { device: 9 })
  assert.throws(() => feed(timeAt(1), stranger), { code: 'INTERNAL_FAULT' })
})
