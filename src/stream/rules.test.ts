import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHash } from 'node:crypto'
import { compilePipeline } from '../pipeline/compile.ts'
import { StreamProcessor } from './processor.ts'
import { frameOf, LIMITS, METRIC_A, METRIC_LABEL, METRIC_ON, PLAN, timeAt } from './script.ts'
import type { RuleEvent } from './stream.ts'

type Step =
  | number
  | { at: number; readings: [number, number][]; lagS?: number; isHistorical?: true }

const a = (at: number, value: number): Step => ({ at, readings: [[METRIC_A, value]] })

/** One frame a step (a number is a tick); returns `rule state` per step, and all events. */
function play(steps: Step[], plan = PLAN): { said: string[][]; events: RuleEvent[] } {
  const processor = new StreamProcessor({ plan, limits: LIMITS })
  const events: RuleEvent[] = []
  const said = steps.map((step, i) => {
    const baseUs = timeAt(typeof step === 'number' ? step : step.at)
    const messages =
      typeof step === 'number'
        ? []
        : [
            {
              device: 0,
              eventUs: baseUs - (step.lagS ?? 0) * 1e6,
              ingestDeltaUs: 0,
              identity: 0,
              isHistorical: step.isHistorical ?? false,
              readings: step.readings,
            },
          ]
    const { ruleEvents } = processor.process(i, frameOf({ baseUs, messages }, i === 0))
    events.push(...ruleEvents)
    return ruleEvents.map(({ ruleId, state }) => `${ruleId} ${state}`)
  })
  return { said, events }
}

test('a rule with a duration fires at the message that finds it long enough, not before', () => {
  const { said, events } = play([a(0, 85), a(29.999, 85), a(30, 85), a(31, 85), a(32, 70)])
  assert.deepEqual(said, [[], [], ['hot firing'], [], ['hot resolved']])
  assert.equal(events[0]!.triggeredAtUs, timeAt(30))
  assert.equal(events[1]!.resolvedAtUs, timeAt(32))
  assert.equal(events[1]!.triggeredAtUs, timeAt(30))
  assert.deepEqual(events[0]!.values, { a: 85 })
})

test('a tick fires what is pending long enough, with no message in between', () => {
  const { said } = play([a(0, 85), 29.999, 30, 60])
  assert.deepEqual(said, [[], [], ['hot firing'], []])
})

test('what clears while pending says nothing, and the duration starts anew', () => {
  const { said } = play([a(0, 85), a(20, 70), a(25, 85), 54.9, 55])
  assert.deepEqual(said, [[], [], [], [], ['hot firing']])
})

test('a rule without a duration fires at once, and again in the next episode', () => {
  const { said, events } = play([a(0, 96), a(1, 97), a(2, 10), a(3, 96)])
  const [firing, resolved] = [['burning firing'], ['burning resolved']]
  assert.deepEqual(said, [firing, [], resolved, firing])
  assert.equal(events[0]!.id, events[1]!.id)
  assert.notEqual(events[0]!.id, events[2]!.id)
})

test('G7 an event’s id is the hash of tenant, rule, version, device and first breach', () => {
  const { events } = play([a(0, 96)])
  const key = JSON.stringify(['default', 'burning', 1, 'device-0', timeAt(0)])
  const hash = createHash('sha256').update(key).digest('hex')
  assert.equal(events[0]!.id, hash.slice(0, 32))
})

test('a metric that the message lacks takes its latest value; never seen, nothing is decided', () => {
  const on: Step = { at: 10, readings: [[METRIC_ON, 1]] }
  assert.deepEqual(play([a(0, 70), a(6, 70), 30]).said.flat(), [])
  assert.deepEqual(play([a(0, 70), on, 14, 15]).said, [[], [], [], ['warm-while-on firing']])
})

test('texts are compared by what they say', () => {
  const label = (at: number, text: number): Step => ({ at, readings: [[METRIC_LABEL, text]] })
  const { said } = play([label(0, 0), label(1, 1), label(2, 0)])
  assert.deepEqual(said, [[], ['faulty firing'], ['faulty resolved']])
})

test('a series of another kind than the condition takes it for feeds the rule nothing', () => {
  // Without a type the kinds follow from the use: each of these metrics is sent as another kind.
  const { rules } = compilePipeline({
    version: 1,
    rules: [
      { id: 'threshold', when: 'label > 0' },
      { id: 'interpreted', when: 'label > 0 && label < 9' },
      { id: 'negated', when: 'a != "x"' },
      { id: 'flag', when: 'a' },
      { id: 'switch', when: 'on > 0' },
      { id: 'as-sent', when: 'label == "fault" && a > 0 && on' },
    ],
  })
  const readings: [number, number][] = [
    [METRIC_A, 1],
    [METRIC_ON, 1],
    [METRIC_LABEL, 1],
  ]
  const { said } = play([{ at: 0, readings }], { ...PLAN, rules })
  assert.deepEqual(said, [['as-sent firing']])
})

test('a reading older than the staleness on arrival, or historical, wakes nobody', () => {
  const readings: [number, number][] = [[METRIC_A, 99]]
  assert.deepEqual(play([{ at: 600, readings, lagS: 300.000_001 }]).said, [[]])
  assert.deepEqual(play([{ at: 600, readings, isHistorical: true }]).said, [[]])
  assert.deepEqual(play([{ at: 600, readings, lagS: 300 }]).said, [['burning firing']])
})

test('a duplicate decides nothing', () => {
  const clears: Step = { at: 1, readings: [[METRIC_A, 10]] }
  const breaches: Step = { at: 2, readings: [[METRIC_A, 99]], lagS: 1 }
  assert.deepEqual(play([clears, breaches]).said, [[], []])
})
