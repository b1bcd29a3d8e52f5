import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { planMessages, toDigest } from './digest.ts'
import { notificationOf, NOW_US } from './notification-fixture.ts'
import { DIGEST_IDS_MAX, DIGEST_NAMES_MAX, type Notification } from './notify.ts'
import { TokenBucket } from './token-bucket.ts'

const NOBODY = new Set<string>()
const about = { id: 'digest-1', createdAtUs: NOW_US, link: 'https://weir.example/alerts' }

const warnings = (count: number, ruleId = 'storm'): Notification[] =>
  Array.from({ length: count }, (_, n) =>
    notificationOf({ id: `${ruleId}-${n}`, ruleId, severity: 'warning', deviceId: `d-${n % 700}` }),
  )
const fire = notificationOf({ id: 'fire-1', ruleId: 'fire' })

test('What there are tokens for is sent one by one, the gravest first', () => {
  const info = notificationOf({ severity: 'info' })
  const [warning] = warnings(1)
  const state = { tokens: 5, tokensMax: 5, toldRules: NOBODY }
  const { messages, rest } = planMessages([info, warning!, fire], state)
  assert.deepEqual(messages, [[fire], [warning], [info]])
  assert.deepEqual(rest, [])
})

test('More than that becomes one message', () => {
  const waiting = warnings(10_000)
  const { messages, rest } = planMessages(waiting, { tokens: 3, tokensMax: 5, toldRules: NOBODY })
  assert.deepEqual([messages.length, messages[0]!.length, rest.length], [1, 10_000, 0])
})

test('A critical alert of another rule takes the token that is kept back, and is alone', () => {
  const waiting = [...warnings(9_999), fire]
  const one = { tokens: 1, tokensMax: 5 }
  const toldRules = new Set(['storm'])
  const plan = planMessages(waiting, { ...one, toldRules })
  assert.deepEqual(plan.messages, [[fire]])
  assert.equal(plan.rest.length, 9_999)
  // Nothing else takes it: neither warnings, nor the rule that is known, nor that it is over.
  const isOver = notificationOf({ ruleId: 'other', state: 'resolved' }, { change: 'resolved' })
  const known = notificationOf({ ruleId: 'storm' })
  const others = planMessages([...warnings(5), isOver, known], { ...one, toldRules })
  assert.deepEqual([others.messages.length, others.rest.length], [0, 7])
  const nothing = planMessages([fire], { tokens: 0, tokensMax: 5, toldRules })
  assert.deepEqual(nothing, { messages: [], rest: [fire] })
})

test('A limit of one message keeps none back', () => {
  const state = { tokens: 1, tokensMax: 1, toldRules: NOBODY }
  assert.equal(planMessages(warnings(50), state).messages.length, 1)
})

const notifications = fc.array(
  fc.record({
    id: fc.uuid(),
    ruleId: fc.constantFrom('a', 'b', 'c'),
    severity: fc.constantFrom('critical', 'warning', 'info', 'odd'),
  }),
  { maxLength: 60 },
)

test('Each notification is in one message or waits; never more messages than tokens', () => {
  fc.assert(
    fc.property(notifications, fc.nat(8), fc.integer({ min: 1, max: 8 }), (all, tokens, most) => {
      const waiting = all.map((alert) => notificationOf(alert))
      const state = { tokens: Math.min(tokens, most), tokensMax: most, toldRules: new Set(['a']) }
      const { messages, rest } = planMessages(waiting, state)
      assert.ok(messages.length <= state.tokens)
      const seen = [...messages.flat(), ...rest]
      assert.equal(seen.length, waiting.length)
      assert.equal(new Set(seen).size, waiting.length)
      assert.ok(messages.every((message) => message.length > 0))
    }),
  )
})

test('A storm of 10,000 alerts in 10 s is as many messages as allowed, and loses none', () => {
  const perUs = 60_000_000
  const bucket = new TokenBucket({ messages: 5, perUs })
  const storm = warnings(10_000)
  const toldRules = new Set<string>()
  let waiting: readonly Notification[] = []
  const sent: { us: number; message: readonly Notification[] }[] = []
  const plan = (nowUs: number): void => {
    const tokens = bucket.available(nowUs)
    const { messages, rest } = planMessages(waiting, { tokens, tokensMax: 5, toldRules })
    waiting = rest
    for (const message of messages) {
      assert.ok(bucket.take(nowUs))
      for (const { alert } of message) toldRules.add(alert.ruleId)
      sent.push({ us: nowUs, message })
    }
  }
  // One each millisecond, the fire in the middle of it.
  for (const [n, one] of storm.entries()) {
    const nowUs = NOW_US + n * 1000
    waiting = n === 5000 ? [...waiting, one, fire] : [...waiting, one]
    plan(nowUs)
    if (n === 5000) assert.deepEqual(sent.at(-1), { us: nowUs, message: [fire] })
  }
  assert.equal(sent.length, 5)
  const nextUs = bucket.nextUs(NOW_US + 10_000_000, 2)
  assert.ok(nextUs <= NOW_US + 10_000_000 + perUs)
  plan(nextUs)
  assert.equal(sent.length, 6)
  const told = new Set(sent.flatMap(({ message }) => message.map(({ alert }) => alert.id)))
  assert.equal(told.size, 10_001)
})

test('A digest counts all and names the most frequent and the first', () => {
  const digest = toDigest([fire, ...warnings(2000), ...warnings(30, 'other')], about)
  assert.equal(digest.id, 'digest-1')
  assert.equal(digest.alert.id, 'fire-1')
  assert.equal(digest.digest!.count, 2031)
  assert.deepEqual({ ...digest.digest!.bySeverity }, { warning: 2030, critical: 1 })
  assert.deepEqual({ ...digest.digest!.byRule }, { storm: 2000, other: 30, fire: 1 })
  assert.equal(Object.keys(digest.digest!.byDevice).length, DIGEST_NAMES_MAX)
  assert.equal(digest.digest!.alertIds.length, DIGEST_IDS_MAX)
})

test('A device may be called as a property of every object', () => {
  const named = ['__proto__', 'constructor', '__proto__'].map((deviceId) =>
    notificationOf({ deviceId }),
  )
  const { byDevice } = toDigest(named, about).digest!
  assert.deepEqual(Object.entries(byDevice), [
    ['__proto__', 2],
    ['constructor', 1],
  ])
})
