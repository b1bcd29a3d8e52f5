import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import fc from 'fast-check'
import type { FastifyReply } from 'fastify'
import { Registry } from '../observe/observe.ts'
import { QuestionGate } from './question-gate.ts'
import { ManualClock } from './testing/api-bench.ts'

/** What the gate sees of a client: a connection that may close. */
class Client extends EventEmitter {
  destroyed = false

  go(): void {
    this.destroyed = true
    this.emit('close')
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function setUp(limits: { atOnce?: number; waitingMax?: number; timeMs?: number } = {}) {
  const clock = new ManualClock()
  const registry = new Registry()
  const all = { atOnce: 1, waitingMax: 100, timeMs: 1000, ...limits }
  const gate = new QuestionGate({ kind: 'query', clock, registry, limits: all })
  const begun: string[] = []
  const ends: (() => void)[] = []
  const value = (name: string, outcome?: string): number =>
    registry
      .samples()
      .find(
        (one) => one.name === name && (outcome === undefined || one.labels['outcome'] === outcome),
      )?.value ?? 0
  return {
    ...{ clock, begun, ends, value },
    /** Its work lasts until the next of `ends`, and does not look at its signal. */
    ask(tenant: string, client = new Client(), name = tenant) {
      const reply = { raw: client } as unknown as FastifyReply
      const signals: AbortSignal[] = []
      const answer = gate.run({ tenant, reply }, (signal) => {
        begun.push(name)
        signals.push(signal)
        return new Promise<string>((resolve) => ends.push(() => resolve(name)))
      })
      answer.catch(() => undefined)
      return { answer, client, signals }
    },
  }
}

test('G1 each tenant that waits has its turn before one has two', async () => {
  const tenants = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(tenants, async (asking) => {
      const { ask, begun, ends } = setUp()
      ask('first')
      for (const tenant of asking) ask(tenant)
      await settled()
      const left = [...asking]
      for (let at = 0; at < asking.length; at++) {
        ends.shift()!()
        await settled()
      }
      assert.equal(begun.length, asking.length + 1)
      // A turn may come twice only when nobody else waited in between.
      for (const [at, tenant] of begun.slice(1).entries()) {
        const before = begun.slice(1, at + 1).lastIndexOf(tenant)
        const others = begun.slice(before + 2, at + 1)
        if (before >= 0) {
          for (const other of new Set(left.filter((one) => one !== tenant))) {
            assert.ok(others.includes(other), `${other} was passed over: ${begun.join()}`)
          }
        }
        left.splice(left.indexOf(tenant as 'a'), 1)
      }
    }),
    { numRuns: 50 },
  )
})

test('G2 a full queue refuses the tenant that has most waiting, with a time to retry', async () => {
  const { ask, begun, ends, value } = setUp({ waitingMax: 3 })
  ask('busy')
  const waiting = [1, 2, 3].map((at) => ask('busy', new Client(), `busy ${at}`))
  await assert.rejects(ask('busy').answer, (error: Error & { details?: any; code?: string }) => {
    assert.equal(error.code, 'QUERY_OVERLOADED')
    assert.ok(error.details.retryAfterSeconds >= 1)
    return true
  })
  const quiet = ask('quiet')
  await settled()
  await assert.rejects(waiting[2]!.answer, { code: 'QUERY_OVERLOADED' })
  for (let at = 0; at < 4; at++) {
    ends.shift()!()
    await settled()
  }
  assert.equal(await quiet.answer, 'quiet')
  assert.deepEqual(begun, ['busy', 'busy 1', 'quiet', 'busy 2'])
  assert.equal(value('weir_api_questions_total', 'refused'), 2)
  assert.equal(value('weir_api_questions_at_work'), 0)
  assert.equal(value('weir_api_questions_waiting'), 0)
})

test('G3 who goes leaves the queue at once, and its place once the engine has let go', async () => {
  const { ask, begun, ends, value } = setUp()
  const atWork = ask('a')
  const waiting = ask('b')
  const behind = ask('c')
  await settled()
  waiting.client.go()
  atWork.client.go()
  for (const one of [atWork, waiting]) await assert.rejects(one.answer, { code: 'QUERY_FAILED' })
  assert.equal(atWork.signals[0]!.aborted, true)
  assert.deepEqual(begun, ['a'])
  ends.shift()!()
  await settled()
  assert.deepEqual(begun, ['a', 'c'])
  ends.shift()!()
  assert.equal(await behind.answer, 'c')
  assert.equal(value('weir_api_questions_total', 'gone'), 2)
  assert.equal(value('weir_api_questions_total', 'answered'), 1)
  const late = new Client()
  late.go()
  await assert.rejects(ask('d', late).answer, { code: 'QUERY_FAILED' })
  assert.equal(value('weir_api_questions_at_work'), 0)
})

test('what takes too long ends with a limit; who waits too long is refused', async () => {
  const { ask, clock, value, ends } = setUp()
  const slow = ask('a')
  const waiting = ask('b')
  await settled()
  clock.advance(1000)
  await assert.rejects(slow.answer, {
    code: 'QUERY_LIMIT_EXCEEDED',
    message: 'The query took longer than 1000 ms',
  })
  await assert.rejects(waiting.answer, { code: 'QUERY_OVERLOADED' })
  assert.equal(slow.signals[0]!.aborted, true)
  assert.equal(value('weir_api_questions_total', 'late'), 1)
  assert.equal(value('weir_api_questions_at_work'), 1)
  ends.shift()!()
  await settled()
  assert.equal(value('weir_api_questions_at_work'), 0)
})
