import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createSeededRandom } from '../world/memory-disk.ts'
import { SimulatedClock } from '../world/simulated-clock.ts'
import { BACKOFF, backoffMs } from './backoff.ts'
import { BREAKER, CircuitBreaker } from './circuit-breaker.ts'
import { escalate, type EscalationStep } from './escalation.ts'
import { notificationOf, NOW_US } from './notification-fixture.ts'
import { decide } from './preferences.ts'
import { TokenBucket } from './token-bucket.ts'

const MINUTE_US = 60_000_000

test('A wait is anything up to a bound that doubles, ends at the cap, and is no less than asked', () => {
  const { baseMs, capMs } = BACKOFF
  for (const [attempt, most] of [
    ...([
      [1, baseMs],
      [2, 2 * baseMs],
      [5, 16 * baseMs],
    ] as const),
    ...([
      [30, capMs],
      [5000, capMs],
    ] as const),
  ] as const) {
    assert.equal(backoffMs(attempt, { unit: () => 0 }), 0)
    assert.ok(Math.abs(backoffMs(attempt, { unit: () => 0.999999 }) - most) < 1)
  }
  const random = createSeededRandom(7)
  fc.assert(
    fc.property(fc.nat(100), fc.nat(100_000), (attempt, retryAfterMs) => {
      const waitMs = backoffMs(attempt, random, { ...BACKOFF, retryAfterMs })
      assert.ok(waitMs >= retryAfterMs && waitMs <= retryAfterMs + capMs)
    }),
  )
})

test('Those that failed together come back spread over the whole wait', () => {
  const random = createSeededRandom(1)
  const tenths = new Set(
    Array.from({ length: 500 }, () => Math.floor((backoffMs(1, random) / BACKOFF.baseMs) * 10)),
  )
  assert.equal(tenths.size, 10)
})

test('A breaker opens after failures in a row, and one try tells whether to close it', async () => {
  const clock = new SimulatedClock()
  const breaker = new CircuitBreaker(clock)
  for (let n = 1; n < BREAKER.failuresMax; n++) {
    assert.ok(breaker.admit())
    breaker.failed()
  }
  assert.equal(breaker.state, 'closed')
  breaker.succeeded()
  for (let n = 1; n < BREAKER.failuresMax; n++) breaker.failed()
  assert.equal(breaker.state, 'closed', 'they were not in a row')
  breaker.failed()
  assert.equal(breaker.state, 'open')
  assert.equal(breaker.admit(), false)
  await clock.run(BREAKER.openMs)
  assert.equal(breaker.state, 'half-open')
  assert.deepEqual([breaker.admit(), breaker.admit()], [true, false], 'one try')
  breaker.failed()
  assert.deepEqual([breaker.state, breaker.waitMs], ['open', BREAKER.openMs])
  await clock.run(BREAKER.openMs)
  assert.ok(breaker.admit())
  breaker.succeeded()
  assert.equal(breaker.state, 'closed')
  assert.deepEqual(breaker.counts, { succeeded: 2, failed: 10, held: 2, opened: 2 })
})

test('A try that never ended does not keep the breaker from trying again', async () => {
  const clock = new SimulatedClock()
  const breaker = new CircuitBreaker(clock)
  for (let n = 0; n < BREAKER.failuresMax; n++) breaker.failed()
  await clock.run(BREAKER.openMs)
  assert.ok(breaker.admit())
  assert.equal(breaker.admit(), false)
  await clock.run(BREAKER.probeMs)
  assert.ok(breaker.admit())
})

test('Late ends of tries from before it opened do not keep a breaker open for longer', async () => {
  const clock = new SimulatedClock()
  const breaker = new CircuitBreaker(clock)
  for (let n = 0; n < BREAKER.failuresMax; n++) breaker.failed()
  await clock.run(BREAKER.openMs - 1)
  breaker.failed()
  await clock.run(1)
  assert.ok(breaker.admit())
})

test('Whatever happens, a closed breaker admits and a failing endpoint is tried once a period', () => {
  const steps = fc.array(fc.constantFrom('try', 'wait'))
  fc.assert(
    fc.property(steps, (all) => {
      let nowMs = 0
      const breaker = new CircuitBreaker({ monotonicMs: () => nowMs })
      const tries: number[] = []
      for (const step of all) {
        if (step === 'wait') nowMs += 7000
        else if (breaker.admit()) {
          tries.push(nowMs)
          breaker.failed()
        }
      }
      for (const [at, ms] of tries.entries()) {
        if (at >= BREAKER.failuresMax) assert.ok(ms - tries[at - 1]! >= BREAKER.openMs)
      }
    }),
  )
})

test('No period of the limit has more messages than it says, whenever they come', () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 40_000_000 }), { maxLength: 200 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), gaps, (messages, all) => {
      const bucket = new TokenBucket({ messages, perUs: MINUTE_US })
      let nowUs = NOW_US
      const taken: number[] = []
      for (const gap of all) {
        nowUs += gap
        const had = bucket.available(nowUs)
        assert.equal(bucket.take(nowUs), had > 0)
        if (had > 0) taken.push(nowUs)
        const nextUs = bucket.nextUs(nowUs)
        assert.ok(new TokenBucket({ messages, perUs: MINUTE_US }, bucket.takenUs).take(nextUs))
      }
      for (const [at, us] of taken.entries()) {
        assert.ok(at < messages || us - taken[at - messages]! >= MINUTE_US)
      }
    }),
  )
})

test('A bucket comes back from what was kept, and a clock set back holds nobody longer than the period', () => {
  const limit = { messages: 2, perUs: MINUTE_US }
  const bucket = new TokenBucket(limit)
  assert.deepEqual(
    [1, 2, 3].map(() => bucket.take(NOW_US)),
    [true, true, false],
  )
  const again = new TokenBucket(limit, bucket.takenUs)
  const early = new TokenBucket(limit, bucket.takenUs)
  assert.equal(early.take(NOW_US + MINUTE_US - 1), false)
  assert.equal(early.take(NOW_US + MINUTE_US), true)
  assert.equal(again.take(NOW_US + 1), false)
  assert.equal(again.nextUs(NOW_US, 2), NOW_US + MINUTE_US)
  const dayBeforeUs = NOW_US - 86_400_000_000
  assert.equal(again.take(dayBeforeUs), false)
  assert.equal(again.take(dayBeforeUs + MINUTE_US), true)
})

test('Quiet hours hold all but what disturbs; what is not wanted is suppressed', () => {
  // 03:00 UTC is 04:00 in Berlin.
  const quietHours = { from: '22:00', to: '07:00', timeZone: 'Europe/Berlin' }
  const warning = notificationOf({ severity: 'warning' })
  const critical = notificationOf()
  const atUs = NOW_US + 3 * 60 * MINUTE_US
  assert.deepEqual(decide(warning, { quietHours }, NOW_US), { when: 'later', atUs })
  assert.deepEqual(decide(warning, { quietHours }, atUs), { when: 'now' })
  assert.deepEqual(decide(critical, { quietHours }, NOW_US), { when: 'now' })
  const none = { quietHours, disturbing: [] }
  assert.deepEqual(decide(critical, none, NOW_US), { when: 'later', atUs })
  const severities = ['critical']
  assert.deepEqual(decide(critical, { severities }, NOW_US), { when: 'now' })
  assert.deepEqual(decide(warning, { severities }, NOW_US), {
    ...{ when: 'suppressed', reason: 'severity' },
  })
})

test('The next of the chain is told when nobody acknowledged in time, one step after the other', () => {
  const chain: EscalationStep[] = [
    { recipientIds: ['anna'], afterUs: 0 },
    { recipientIds: ['ben', 'cleo'], afterUs: 10 * MINUTE_US },
    { recipientIds: ['boss'], afterUs: 30 * MINUTE_US },
  ]
  const fired = { triggeredAtUs: NOW_US, isHandled: false }
  const at = (minutes: number): number => NOW_US + minutes * MINUTE_US
  assert.deepEqual(escalate(chain, { ...fired, stepsTold: 0 }, NOW_US), {
    ...{ do: 'tell', step: 0, recipientIds: ['anna'] },
  })
  const told = { ...fired, stepsTold: 1, lastToldAtUs: NOW_US }
  assert.deepEqual(escalate(chain, told, at(9)), { do: 'wait', untilUs: at(10) })
  assert.deepEqual(escalate(chain, told, at(10)), {
    ...{ do: 'tell', step: 1, recipientIds: ['ben', 'cleo'] },
  })
  // We were away for two hours: the last step still waits for its own time.
  const late = { ...fired, stepsTold: 2, lastToldAtUs: at(120) }
  assert.deepEqual(escalate(chain, late, at(121)), { do: 'wait', untilUs: at(150) })
  assert.deepEqual(escalate(chain, { ...late, isHandled: true }, at(500)), { do: 'nothing' })
  assert.deepEqual(escalate(chain, { ...late, stepsTold: 3 }, at(500)), { do: 'nothing' })
})
