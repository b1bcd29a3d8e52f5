import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AlertRecord, Recipient } from './alerts.ts'
import {
  during,
  endOf,
  eventOf,
  MINUTE_US,
  openAlertBench,
  recipient,
  take,
  TENANT,
  type AlertBench,
} from './alerts-fixture.ts'

const changes = ({ told }: AlertBench, topic: string): string[] =>
  told.filter((one) => one.topic === topic).map(({ change }) => change)

async function withBench(run: (bench: AlertBench) => Promise<void>): Promise<void> {
  const bench = await openAlertBench()
  await put(bench, 'ada', recipient('ada'))
  try {
    await run(bench)
  } finally {
    await bench.close()
  }
}

const put = (bench: AlertBench, id: string, value: Recipient) =>
  during(bench, bench.recipients.put(TENANT, id, value))

const listed = (bench: AlertBench) => bench.opened.alerts.list(TENANT, { limit: 100 })

test('A1 an event is told once, however often and in whatever order it comes', () =>
  withBench(async (bench) => {
    const fired = eventOf(1, bench.clock.nowUs())
    await take(bench, fired, fired)
    await take(bench, fired)
    const ended = endOf(fired, bench.clock.nowUs())
    await take(bench, ended, fired, ended)
    assert.deepEqual(changes(bench, 'ada'), ['opened'])
    const [alert] = await listed(bench)
    assert.equal(alert?.id, 'e-1')
    assert.equal(alert.state, 'resolved')
    const history = await bench.opened.alerts.history(TENANT, 'e-1')
    assert.deepEqual(
      history.map(({ what }) => what),
      ['fired', 'resolved'],
    )
  }))

test('A breach within 5 minutes of the last firing reopens the alert, and nobody is told', () =>
  withBench(async (bench) => {
    const { clock } = bench
    const first = eventOf(1, clock.nowUs())
    await take(bench, first)
    const endUs = clock.nowUs()
    await take(bench, endOf(first, endUs))
    await clock.run(299_000)
    await take(bench, eventOf(2, endUs + 5 * MINUTE_US, { ruleVersion: 2 }))
    const [alert, ...others] = await listed(bench)
    assert.deepEqual([others.length, alert?.occurrences, alert?.state], [0, 2, 'firing'])
    assert.deepEqual(changes(bench, 'ada'), ['opened'])
    await take(bench, endOf(eventOf(2, endUs + 5 * MINUTE_US), endUs + 6 * MINUTE_US))
    await take(bench, eventOf(3, endUs + 11 * MINUTE_US + 1))
    assert.equal((await listed(bench)).length, 2)
    assert.deepEqual(changes(bench, 'ada'), ['opened', 'opened'])
  }))

test('An end is told to those who want it, after the time of reopening', () =>
  withBench(async (bench) => {
    const { clock } = bench
    await put(bench, 'bob', recipient('bob', { isToldOfEnds: true }))
    const first = eventOf(1, clock.nowUs())
    await take(bench, first)
    await take(bench, endOf(first, clock.nowUs()))
    await clock.run(290_000)
    assert.deepEqual(changes(bench, 'bob'), ['opened'])
    await clock.run(20_000)
    assert.deepEqual(changes(bench, 'bob'), ['opened', 'resolved'])
    assert.deepEqual(changes(bench, 'ada'), ['opened'])
  }))

test('One that becomes graver is told again, over an acknowledgement and a snooze', () =>
  withBench(async (bench) => {
    const { clock, opened } = bench
    const first = eventOf(1, clock.nowUs())
    await take(bench, first)
    await during(bench, opened.alerts.act(TENANT, 'e-1', { do: 'acknowledge' }, 'ada'))
    await during(
      bench,
      opened.alerts.act(TENANT, 'e-1', { do: 'snooze', untilUs: clock.nowUs() + 1e10 }, 'ada'),
    )
    await take(bench, endOf(first, clock.nowUs()))
    await take(bench, eventOf(2, clock.nowUs()))
    assert.deepEqual(changes(bench, 'ada'), ['opened'])
    await take(bench, eventOf(3, clock.nowUs(), { severity: 'critical' }))
    assert.deepEqual(changes(bench, 'ada'), ['opened', 'reopened'])
    const alert = await opened.alerts.find(TENANT, 'e-1')
    assert.deepEqual([alert?.acknowledged, alert?.snoozedUntilUs], [undefined, undefined])
  }))

test('One that comes and goes is folded for longer, and unfolds when it is calm', () =>
  withBench(async (bench) => {
    const { clock } = bench
    let endedUs = 0
    for (let n = 1; n <= 5; n++) {
      const event = eventOf(n, clock.nowUs())
      await take(bench, event)
      await clock.run(60_000)
      endedUs = clock.nowUs()
      await take(bench, endOf(event, endedUs))
      await clock.run(120_000)
    }
    const [folded] = await listed(bench)
    assert.deepEqual([folded?.isFlapping, folded?.occurrences], [true, 5])
    await take(bench, eventOf(6, endedUs + 29 * MINUTE_US))
    assert.equal((await listed(bench)).length, 1)
    const history = await bench.opened.alerts.history(TENANT, 'e-1')
    assert.equal(history.filter(({ what }) => what === 'flapping').length, 1)
    await take(bench, endOf(eventOf(6, endedUs + 29 * MINUTE_US), endedUs + 90 * MINUTE_US))
    await take(bench, eventOf(7, endedUs + 96 * MINUTE_US))
    assert.equal((await listed(bench)).length, 2)
    assert.equal(changes(bench, 'ada').length, 2)
  }))

test('A3 nobody is told of an episode that had ended when it was first heard of', () =>
  withBench(async (bench) => {
    const event = eventOf(1, bench.clock.nowUs())
    await take(bench, endOf(event, bench.clock.nowUs()))
    await take(bench, event)
    await bench.clock.run(400_000)
    assert.equal(bench.told.length, 0)
    const history = await bench.opened.alerts.history(TENANT, 'e-1')
    assert.deepEqual(
      history.map(({ what }) => what),
      ['fired', 'resolved'],
    )
    assert.equal((await listed(bench))[0]?.state, 'resolved')
  }))

test('A silence keeps it quiet and on record; what still fires behind it is told', () =>
  withBench(async (bench) => {
    const { clock, opened } = bench
    const untilUs = clock.nowUs() + 10 * MINUTE_US
    const works = { comment: 'works', ruleId: 'hot', fromUs: 0, untilUs }
    await during(bench, bench.silences.put(TENANT, 's', works))
    const first = eventOf(1, clock.nowUs())
    await take(bench, first, eventOf(2, clock.nowUs(), { deviceId: 'pump-02' }))
    await take(bench, endOf(first, clock.nowUs()))
    assert.equal(bench.told.length, 0)
    const quiet = await opened.alerts.find(TENANT, 'e-2')
    assert.deepEqual(quiet?.suppressedBy, { silence: 's' })
    const deliveries = await opened.alerts.deliveries(TENANT, { state: 'suppressed', limit: 10 })
    assert.deepEqual(
      deliveries.map(({ problem }) => problem),
      ['silence s', 'silence s'],
    )
    await clock.run(601_000)
    assert.deepEqual(
      bench.told.map(({ alert }) => alert.id),
      ['e-2'],
    )
    assert.equal((await opened.alerts.find(TENANT, 'e-2'))?.suppressedBy, undefined)
  }))

test('A snooze is quiet until it is over, and then says that it is still firing', () =>
  withBench(async (bench) => {
    const { clock, opened } = bench
    await take(bench, eventOf(1, clock.nowUs()))
    const untilUs = clock.nowUs() + 20 * MINUTE_US
    const alert = await during(
      bench,
      opened.alerts.act(TENANT, 'e-1', { do: 'snooze', untilUs }, 'ada'),
    )
    assert.equal(alert.snoozedUntilUs, untilUs)
    await clock.run(19 * 60_000)
    assert.deepEqual(changes(bench, 'ada'), ['opened'])
    await clock.run(2 * 60_000)
    assert.deepEqual(changes(bench, 'ada'), ['opened', 'reminded'])
  }))

test('Nobody acknowledges: those of the chain are told, each in their time; somebody does: none', () =>
  withBench(async (bench) => {
    const { clock, opened } = bench
    const escalation = [
      { afterUs: 5 * MINUTE_US, recipientIds: ['bob'] },
      { afterUs: 5 * MINUTE_US, recipientIds: ['eve'] },
    ]
    await put(bench, 'ada', recipient('ada', { escalation }))
    for (const name of ['bob', 'eve']) {
      await put(bench, name, recipient(name, { severities: ['none'] }))
    }
    await take(bench, eventOf(1, clock.nowUs()))
    await clock.run(301_000)
    assert.deepEqual([changes(bench, 'bob'), changes(bench, 'eve')], [['escalated'], []])
    await during(
      bench,
      opened.alerts.act(TENANT, 'e-1', { do: 'acknowledge', note: 'on it' }, 'bob'),
    )
    await clock.run(900_000)
    assert.deepEqual([changes(bench, 'bob'), changes(bench, 'eve')], [['escalated'], []])
    const history = await opened.alerts.history(TENANT, 'e-1')
    assert.deepEqual(
      history.map(({ what }) => what),
      ['fired', 'escalated', 'acknowledge'],
    )
  }))

const silent = { reason: { kind: 'silence' as const, condition: 'silent for 30 s' } }

test('The silence of a child is not told while its parent is silent, and is when that came back', () =>
  withBench(async (bench) => {
    const { clock, opened, parents } = bench
    for (const child of ['a', 'b']) parents.set(child, 'gate')
    const [a, b] = ['a', 'b'].map((deviceId) =>
      eventOf(deviceId, clock.nowUs(), { deviceId, ...silent }),
    )
    await take(bench, a!, b!)
    assert.equal(bench.told.length, 0)
    const gate = eventOf('gate', clock.nowUs(), { deviceId: 'gate', ...silent })
    await take(bench, gate)
    await clock.run(60_000)
    assert.deepEqual(
      bench.told.map(({ alert }) => alert.device_id),
      ['gate'],
    )
    assert.deepEqual((await opened.alerts.find(TENANT, 'e-a'))?.suppressedBy, {
      parentAlert: 'e-gate',
    })
    assert.equal((await listed(bench)).length, 3)
    await take(bench, endOf(gate, clock.nowUs()), endOf(b!, clock.nowUs()))
    await clock.run(5000)
    assert.equal(bench.told.length, 1)
    await clock.run(10_000)
    assert.deepEqual(
      bench.told.map(({ alert }) => alert.device_id),
      ['gate', 'a'],
    )
  }))

test('A child that is silent alone is told after it was waited for its parent', () =>
  withBench(async (bench) => {
    bench.parents.set('a', 'gate')
    await take(bench, eventOf('a', bench.clock.nowUs(), { deviceId: 'a', ...silent }))
    await bench.clock.run(9000)
    assert.equal(bench.told.length, 0)
    await bench.clock.run(2000)
    assert.deepEqual(changes(bench, 'ada'), ['opened'])
  }))

test('A rule tells whom it names; others hear of the rules, devices and severities they want', () =>
  withBench(async (bench) => {
    const { clock } = bench
    await put(bench, 'grave', recipient('grave', { severities: ['critical'] }))
    await put(bench, 'other', recipient('other', { rules: ['cold'] }))
    await put(bench, 'pump', recipient('pump', { devices: ['pump-01'] }))
    await take(bench, eventOf(1, clock.nowUs()))
    assert.deepEqual(bench.told.map(({ topic }) => topic).toSorted(), ['ada', 'pump'])
    const { reason } = eventOf(2, 0)
    const named = { ...reason, notify: ['other', 'nobody'] }
    await take(bench, eventOf(2, clock.nowUs(), { deviceId: 'pump-02', reason: named }))
    assert.deepEqual(
      bench.told.slice(2).map(({ topic }) => topic),
      ['other'],
    )
  }))

test('Quiet hours hold what does not disturb, and it is told behind them as one', () =>
  withBench(async (bench) => {
    const { clock } = bench
    const quietHours = { from: '00:00', to: '06:00', timeZone: 'UTC' }
    const rateLimit = { messages: 2, perUs: MINUTE_US }
    await put(bench, 'ada', recipient('ada', { quietHours, rateLimit }))
    const devices = ['a', 'b', 'c'].map((deviceId) =>
      eventOf(deviceId, clock.nowUs(), { deviceId }),
    )
    await take(bench, ...devices)
    assert.equal(bench.told.length, 0)
    await take(bench, eventOf('d', clock.nowUs(), { deviceId: 'd', severity: 'critical' }))
    assert.deepEqual(changes(bench, 'ada'), ['opened'])
    await bench.restart()
    await clock.run(6 * 3_600_000)
    assert.deepEqual(
      bench.told.map(({ digest }) => digest?.count),
      [undefined, 3],
    )
  }))

test('The state of the stream was lost: all that fires ends, and a late end changes nothing', () =>
  withBench(async (bench) => {
    const { clock, opened } = bench
    const events = ['a', 'b'].map((deviceId) => eventOf(deviceId, clock.nowUs(), { deviceId }))
    await take(bench, ...events)
    await during(bench, opened.resolveAll(TENANT, clock.nowUs()))
    assert.deepEqual(
      (await listed(bench)).map(({ state }) => state),
      ['resolved', 'resolved'],
    )
    await take(bench, endOf(events[0]!, clock.nowUs()))
    assert.equal((await opened.alerts.history(TENANT, 'e-a')).length, 2)
  }))

test('What was not taken when the stage ended is refused, and taken by the next one', () =>
  withBench(async (bench) => {
    const { clock, opened } = bench
    const event = eventOf(1, clock.nowUs())
    const stopped = opened.stop()
    await assert.rejects(opened.feed.take([event]), { code: 'CONTROL_UNAVAILABLE' })
    await clock.run(5000)
    await stopped
    await bench.restart()
    await take(bench, event)
    assert.deepEqual(changes(bench, 'ada'), ['opened'])
  }))

test('A4 of a storm each recipient gets what its limit says, and the history has all', () =>
  withBench(async (bench) => {
    const { clock, opened } = bench
    await put(bench, 'ada', recipient('ada', { rateLimit: { messages: 5, perUs: MINUTE_US } }))
    await put(bench, 'bob', recipient('bob', { rateLimit: { messages: 1, perUs: MINUTE_US } }))
    const startUs = clock.nowUs()
    const storm = Array.from({ length: 10_000 }, (_, n) =>
      eventOf(n, startUs + n, { deviceId: `d-${n}`, severity: 'critical' }),
    )
    for (let from = 0; from < storm.length; from += 500) {
      await take(bench, ...storm.slice(from, from + 500))
      await clock.run(480)
    }
    const fire = eventOf('fire', clock.nowUs(), { ruleId: 'fire', severity: 'critical' })
    await take(bench, fire)
    const ada = bench.told.filter(({ topic }) => topic === 'ada')
    assert.equal(ada.at(-1)?.alert.rule_id, 'fire')
    assert.equal(ada.length, 5)
    assert.equal(changes(bench, 'bob').length, 1)
    await clock.run(70_000)
    const count = (topic: string): number =>
      bench.told
        .filter((one) => one.topic === topic)
        .reduce((sum, { digest }) => sum + (digest?.count ?? 1), 0)
    assert.deepEqual([count('ada'), count('bob')], [10_001, 10_001])
    let after: AlertRecord | undefined
    const ids = new Set<string>()
    for (;;) {
      const page = await opened.alerts.list(TENANT, { ...(after && { after }), limit: 1000 })
      if (page.length === 0) break
      for (const { id } of page) ids.add(id)
      after = page.at(-1)
    }
    assert.equal(ids.size, 10_001)
  }))

test('A dead letter is tried again from its beginning, with the same key', () =>
  withBench(async (bench) => {
    const { clock, opened } = bench
    let tries = 0
    bench.refuse = () => {
      tries++
      return new Error('away')
    }
    await take(bench, eventOf(1, clock.nowUs()))
    await clock.run(25 * 3_600_000)
    const [dead] = await opened.alerts.deliveries(TENANT, { alertId: 'e-1', limit: 10 })
    assert.equal(dead?.state, 'dead')
    assert.ok(tries > 20, `${tries} tries`)
    bench.refuse = () => undefined
    await during(bench, opened.alerts.retry(TENANT, dead.id))
    await clock.run(60_000)
    const [delivered] = await opened.alerts.deliveries(TENANT, { state: 'delivered', limit: 10 })
    assert.equal(delivered?.id, dead.id)
    assert.equal(bench.told.length, 1)
    await assert.rejects(opened.alerts.retry(TENANT, dead.id), { code: 'ALERT_DELIVERY_UNKNOWN' })
  }))
