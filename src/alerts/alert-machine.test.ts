import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { WeirError } from '../errors/errors.ts'
import type { RuleEvent } from '../stream/stream.ts'
import { advance, ALERT_TIMES, phaseOf, reopenUntilUs, TABLE } from './alert-machine.ts'
import type { Input, LiveAlert, Phase } from './alert-machine.ts'
import { endOf, eventOf, MINUTE_US } from './alerts-fixture.ts'

const NOW_US = 1_767_225_600_000_000
const at = (nowUs: number) => ({ nowUs, times: ALERT_TIMES })

const fired = eventOf(1, NOW_US)
const next = eventOf(2, NOW_US + MINUTE_US)

const phases: Record<Phase, LiveAlert | undefined> = {
  absent: undefined,
  ...{ firing: alertAfter(), ended: alertAfter('end'), closed: alertAfter('end', 'close') },
}

function alertAfter(...steps: ('end' | 'close')[]): LiveAlert {
  let { alert } = advance(undefined, { kind: 'fired', event: fired }, at(NOW_US))
  alert = { ...alert!, pending: undefined, toldSeverity: 'warning' }
  if (steps.includes('end')) {
    const event = endOf(fired, NOW_US + 1)
    ;({ alert } = advance(alert, { kind: 'ended', event }, at(NOW_US + 1)))
  }
  if (steps.includes('close')) {
    ;({ alert } = advance(alert, { kind: 'time' }, at(NOW_US + 6 * MINUTE_US)))
  }
  return alert!
}

const inputs: Record<Input['kind'], Input> = {
  fired: { kind: 'fired', event: next },
  ended: { kind: 'ended', event: endOf(fired, NOW_US + MINUTE_US) },
  passed: { kind: 'passed', event: endOf(next, next.triggeredAtUs + 1) },
  known: { kind: 'known' },
  time: { kind: 'time' },
  acknowledge: { kind: 'acknowledge', action: { do: 'acknowledge' }, by: 'ada' },
  snooze: { kind: 'snooze', action: { do: 'snooze', untilUs: NOW_US * 2 }, by: 'ada' },
  wake: { kind: 'wake', action: { do: 'wake' }, by: 'ada' },
  note: { kind: 'note', action: { do: 'note', text: 'hm' }, by: 'ada' },
}

/** Phase afterwards, and what is in the history. */
const EXPECTED: Record<Phase, Record<Input['kind'], string>> = {
  absent: {
    ...{ fired: 'firing: fired', ended: 'absent:', passed: 'ended: fired resolved' },
    ...{ known: 'absent:', time: 'absent:', acknowledge: 'ALERT_UNKNOWN' },
    ...{ snooze: 'ALERT_UNKNOWN', wake: 'ALERT_UNKNOWN', note: 'ALERT_UNKNOWN' },
  },
  firing: {
    ...{ fired: 'firing: reopened', ended: 'ended: resolved', passed: 'ended: reopened resolved' },
    ...{ known: 'firing:', time: 'firing:', acknowledge: 'firing: acknowledge' },
    ...{ snooze: 'firing: snooze', wake: 'firing: wake', note: 'firing: note' },
  },
  ended: {
    ...{ fired: 'firing: reopened', ended: 'ended: resolved', passed: 'ended: reopened resolved' },
    ...{ known: 'ended:', time: 'ended:', acknowledge: 'ended: acknowledge' },
    ...{ snooze: 'ended: snooze', wake: 'ended: wake', note: 'ended: note' },
  },
  closed: {
    ...{ fired: 'firing: reopened', ended: 'closed: resolved', passed: 'ended: reopened resolved' },
    ...{ known: 'closed:', time: 'closed:', acknowledge: 'closed: acknowledge' },
    ...{ snooze: 'closed: snooze', wake: 'closed: wake', note: 'closed: note' },
  },
}

function answerOf(phase: Phase, kind: Input['kind']): string {
  try {
    const { alert, history } = advance(phases[phase], inputs[kind], at(NOW_US + 2 * MINUTE_US))
    return [`${phaseOf(alert)}:`, ...history.map(({ what }) => what)].join(' ')
  } catch (error) {
    return (error as WeirError).code
  }
}

test('Each phase has an answer to each input, and it is this one', () => {
  for (const phase of Object.keys(TABLE) as Phase[]) {
    assert.equal(phaseOf(phases[phase]), phase)
    for (const kind of Object.keys(inputs) as Input['kind'][]) {
      assert.ok(kind in TABLE[phase], `${phase} × ${kind}`)
      assert.equal(answerOf(phase, kind), EXPECTED[phase][kind], `${phase} × ${kind}`)
    }
  }
  assert.deepEqual(Object.keys(TABLE), Object.keys(phases))
})

test('An event of an older episode is history and changes nothing of the newest', () => {
  const alert = phases.firing!
  const event = eventOf('old', NOW_US - MINUTE_US, { severity: 'critical' })
  const late = advance(alert, { kind: 'fired', event }, at(NOW_US))
  assert.deepEqual({ ...late.alert!.record, occurrences: 1 }, alert.record)
  assert.equal(late.alert!.pending, undefined)
  const ended = advance(late.alert, { kind: 'ended', event: endOf(event, NOW_US) }, at(NOW_US))
  assert.equal(phaseOf(ended.alert), 'firing')
})

test('Its end is news only for who was told of it, and once', () => {
  const told = advance(phases.ended, { kind: 'time' }, at(NOW_US + 6 * MINUTE_US)).alert!
  assert.equal(told.pending?.change, 'resolved')
  const untold = { ...phases.ended!, toldSeverity: undefined }
  const quiet = advance(untold, { kind: 'time' }, at(NOW_US + 6 * MINUTE_US)).alert!
  assert.deepEqual([quiet.isClosed, quiet.pending], [true, undefined])
})

interface Naive {
  id: string
  episodes: string[]
  endsUs: number
}

/** Episodes in order, each ended before the next: what the words of the issue say, naively. */
function naive(events: readonly { event: RuleEvent; endUs: number }[]): string[][] {
  const alerts: Naive[] = []
  const fires: number[] = []
  let foldedUntilUs = 0
  for (const { event, endUs } of events) {
    const firedUs = event.triggeredAtUs
    const last = alerts.at(-1)
    const isFolded = last !== undefined && last.endsUs < foldedUntilUs
    const reachUs = isFolded ? 30 * MINUTE_US : 5 * MINUTE_US
    if (last !== undefined && firedUs <= last.endsUs + reachUs) last.episodes.push(event.id)
    else {
      alerts.push({ id: event.id, episodes: [event.id], endsUs: 0 })
      fires.length = 0
      foldedUntilUs = 0
    }
    fires.push(firedUs)
    const isMany = fires.filter((us) => us >= firedUs - 30 * MINUTE_US).length >= 5
    if (isMany || firedUs < foldedUntilUs) foldedUntilUs = firedUs + 30 * MINUTE_US
    alerts.at(-1)!.endsUs = endUs
  }
  return alerts.map(({ episodes }) => episodes)
}

test('Which episodes are one alert is what the words say, for any episodes', () => {
  const minutes = fc.integer({ min: 0, max: 40 })
  const gaps = fc.array(fc.tuple(minutes, fc.integer({ min: 0, max: 8 })), { maxLength: 30 })
  fc.assert(
    fc.property(gaps, (all) => {
      let us = NOW_US
      const episodes = all.map(([lengthMinutes, gapMinutes], n) => {
        us += gapMinutes * MINUTE_US
        const event = eventOf(n, us)
        us += (lengthMinutes / 4) * MINUTE_US
        return { event, endUs: us }
      })
      const alerts: string[][] = []
      let alert: LiveAlert | undefined
      for (const { event, endUs } of episodes) {
        const before = alert?.record.id
        ;({ alert } = advance(alert, { kind: 'fired', event }, at(event.triggeredAtUs)))
        if (alert!.record.id === before) alerts.at(-1)!.push(event.id)
        else alerts.push([event.id])
        ;({ alert } = advance(alert, { kind: 'ended', event: endOf(event, endUs) }, at(endUs)))
        assert.ok(reopenUntilUs(alert!, ALERT_TIMES) >= endUs + 5 * MINUTE_US)
      }
      assert.deepEqual(alerts, naive(episodes))
    }),
    { numRuns: 500 },
  )
})
