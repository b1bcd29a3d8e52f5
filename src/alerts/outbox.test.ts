import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { planOutbox, type PlanInput } from './outbox.ts'
import type { NoticeRow, PaceRow } from './alert-rows.ts'
import { MINUTE_US, recipient } from './alerts-fixture.ts'

const NOW_US = 1_795_489_200_000_000

const noticeOf = (n: number, ruleId: string, severity: string, atUs: number): NoticeRow => ({
  ...{ tenant: 'default', id: `n-${n}`, revision: 0, recipientId: 'ada', state: 'waiting' },
  ...{ groupId: undefined, dueAtUs: 0, problem: undefined },
  notification: {
    ...{ id: `n-${n}`, change: 'opened', createdAtUs: atUs, link: 'https://weir.example' },
    alert: {
      ...{ id: `a-${n}`, deviceId: 'd', ruleId, severity, state: 'firing', condition: 'x > 1' },
      ...{ sinceUs: atUs, triggeredAtUs: atUs, occurrences: 1 },
    },
  },
})

test('A4 whatever comes whenever: no period has more messages than the limit, and all is told once', () => {
  const rules = fc.constantFrom('a', 'b', 'c', 'd')
  const severities = fc.constantFrom('critical', 'warning')
  const steps = fc.array(
    fc.tuple(fc.integer({ min: 0, max: 30 }), fc.array(fc.tuple(rules, severities))),
    { maxLength: 40 },
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), steps, (messages, all) => {
      const rateLimit = { messages, perUs: MINUTE_US }
      let pace: PaceRow = {
        ...{ tenant: 'default', recipientId: 'ada', revision: 0, takenUs: [], toldUs: {} },
      }
      let waiting: NoticeRow[] = []
      const sentUs: number[] = []
      const told: string[] = []
      let nowUs = NOW_US
      let againUs: number | undefined
      const plan = (fresh: NoticeRow[]): void => {
        const input: PlanInput = {
          ...{ recipient: recipient('ada', { rateLimit }), pace, fresh, waiting, nowUs },
          ...{ lifeUs: 1, linkOf: () => 'https://weir.example' },
        }
        const planned = planOutbox(input)
        pace = planned.pace
        againUs = planned.againUs
        sentUs.push(...planned.messages.map(() => nowUs))
        const sent = planned.notices.filter(({ state }) => state === 'sent')
        told.push(...sent.map(({ id }) => id))
        waiting = [...waiting, ...fresh].filter(({ id }) => !sent.some((one) => one.id === id))
      }
      let n = 0
      for (const [seconds, alerts] of all) {
        nowUs += seconds * 1_000_000
        plan(alerts.map(([rule, severity]) => noticeOf(n++, rule, severity, nowUs)))
      }
      // Only what a timer does: each time there is something to say, or all is said.
      for (let round = 0; waiting.length > 0; round++) {
        assert.ok(round < 3, `${waiting.length} wait forever`)
        nowUs = againUs!
        plan([])
      }
      assert.equal(new Set(told).size, told.length)
      assert.equal(told.length, n)
      for (const [at, us] of sentUs.entries()) {
        assert.ok(at < messages || us - sentUs[at - messages]! >= MINUTE_US)
      }
    }),
    { numRuns: 300 },
  )
})
