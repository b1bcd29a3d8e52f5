/**
 * Rules on how values go on. Among the rules of the other tests there are always some that look at
 * every reading; here there are none, so that histories follow, and stop following, all the time.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Oracle } from './oracle.ts'
import { StreamProcessor } from './processor.ts'
import { anyScript, frameOf, LIMITS, METRIC_A, planOf, SERIES, TEXTS, timeAt } from './script.ts'
import type { RuleEvent } from './stream.ts'

const RULES = [
  { id: 'steep', type: 'pump', when: 'rate(a) > 5', keep: '2s' },
  { id: 'down', type: 'pump', when: 'rate(a) <= -0.5' },
  { id: 'drop', type: 'pump', when: 'delta(b) < -40', for: '2s' },
  { id: 'hot', type: 'pump', when: 'a > 80', for: '30s' },
] as const
const PLAN = planOf(...RULES)

const short = ({ ruleId, deviceId, state, triggeredAtUs }: RuleEvent): string =>
  `${ruleId} ${deviceId} ${state} ${triggeredAtUs}`

test('with restarts at any entry, rates and differences fire as the naive oracle says', () => {
  const fired = new Map<string, number>()
  fc.assert(
    fc.property(anyScript, fc.array(fc.nat(100), { maxLength: 4 }), (script, places) => {
      const oracle = new Oracle(PLAN)
      for (const frame of script) oracle.process(frame)
      const restartsAt = new Set(places.map((place) => place % script.length))
      let processor = new StreamProcessor({ plan: PLAN, limits: LIMITS })
      const stored = new Map<string, Uint8Array<ArrayBuffer>>()
      const events: RuleEvent[] = []
      for (const [i, frame] of script.entries()) {
        events.push(...processor.process(i, frameOf(frame, i === 0)).ruleEvents)
        if (!restartsAt.has(i)) continue
        for (const { name, bytes } of processor.checkpoint(i).parts) stored.set(name, bytes)
        const parts = [...stored].map(([name, bytes]) => ({ name, bytes }))
        processor = new StreamProcessor({ plan: PLAN, limits: LIMITS })
        processor.restore(parts, { series: SERIES, texts: TEXTS })
      }
      const expected = oracle.episodes.map((episode) =>
        short({ ...episode, deviceId: `device-${episode.device}` } as unknown as RuleEvent),
      )
      assert.deepEqual(events.map(short), expected)
      for (const { ruleId } of events) fired.set(ruleId, (fired.get(ruleId) ?? 0) + 1)
    }),
    { numRuns: 400 },
  )
  for (const { id } of RULES) assert.ok((fired.get(id) ?? 0) > 20, `${id} fires`)
})

/** A frame a step: what is said of `a`, how late, and whether it is of an import. */
function said(steps: { at: number; a: number; lagS?: number; isHistorical?: true }[]): string[] {
  const processor = new StreamProcessor({ plan: planOf(RULES[0]), limits: LIMITS })
  return steps.map(({ at, a, lagS = 0, isHistorical = false }, i) => {
    const baseUs = timeAt(at)
    const message = { device: 0, eventUs: baseUs - lagS * 1e6, ingestDeltaUs: 0, identity: 0 }
    const readings: [number, number][] = [[METRIC_A, a]]
    const messages = [{ ...message, isHistorical, readings }]
    const { ruleEvents } = processor.process(i, frameOf({ baseUs, messages }, i === 0))
    return ruleEvents.map(({ state }) => state).join()
  })
}

test('a rate is between readings that the rules saw, whatever came in between', () => {
  const calm = [
    { at: 0, a: 10 },
    { at: 10, a: 20 },
    { at: 20, a: 30 },
  ]
  // From 30 to 90 in 10 s is steep.
  assert.deepEqual(said([...calm, { at: 30, a: 90 }]), ['', '', '', 'firing'])
  // One that is older than the newest changes nothing of it.
  const late = { at: 25, a: 85, lagS: 10 }
  assert.deepEqual(said([...calm, late, { at: 30, a: 90 }]), ['', '', '', '', 'firing'])
  // An import of just now is newer, and is not shown to rules.
  const imported = { at: 29, a: 85, isHistorical: true } as const
  assert.deepEqual(said([...calm, imported, { at: 30, a: 90 }]), ['', '', '', '', 'firing'])
  // What was measured while nobody could hear it is too old to alert: 1,000 s to the next.
  const steps = [...calm, { at: 1000, a: 9000, lagS: 600 }, { at: 1020, a: 9100 }]
  assert.deepEqual(said(steps), ['', '', '', '', 'firing'])
  assert.deepEqual(said([...steps.slice(0, 4), { at: 1020, a: 5000 }]), ['', '', '', '', ''])
})
