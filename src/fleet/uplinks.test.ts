import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import { HttpUplink } from './uplinks.ts'

/** Runs what is due when told to. */
class RetryClock implements Clock {
  readonly due: (() => void)[] = []
  nowUs = (): number => 0
  monotonicMs = (): number => 0
  after(_: number, callback: () => void): () => void {
    this.due.push(callback)
    return () => void this.due.splice(this.due.indexOf(callback), 1)
  }
  soon(callback: () => void): void {
    queueMicrotask(callback)
  }
  every(): () => void {
    return () => {}
  }
  runDue(): void {
    for (const callback of this.due.splice(0)) callback()
  }
}

test('HTTP: in order, one at a time, and what is retryable stays first', async () => {
  const clock = new RetryClock()
  const arrived: string[] = []
  let underWay = 0
  let refusals = 1
  const uplink = new HttpUplink(async (payload) => {
    assert.equal(++underWay, 1)
    await Promise.resolve()
    underWay--
    if (payload === '2' && refusals-- > 0) throw new WeirError('GATEWAY_OVERLOADED')
    arrived.push(payload)
  }, clock)
  const sent = ['1', '2', '3'].map((payload) => uplink.send(payload))
  await sent[0]
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(arrived, ['1'])
  clock.runDue()
  await Promise.all(sent)
  assert.deepEqual(arrived, ['1', '2', '3'])
})

test('HTTP: what is refused for good is given up, and the next goes on', async () => {
  const uplink = new HttpUplink((payload) => {
    return payload === 'bad'
      ? Promise.reject(new WeirError('TELEMETRY_SHAPE_INVALID'))
      : Promise.resolve()
  }, new RetryClock())
  const bad = uplink.send('bad')
  const good = uplink.send('good')
  await assert.rejects(bad, { code: 'TELEMETRY_SHAPE_INVALID' })
  await good
})

test('HTTP: nothing leaves while offline, all of it afterwards; a full buffer refuses', async () => {
  const arrived: string[] = []
  const uplink = new HttpUplink((payload) => {
    arrived.push(payload)
    return Promise.resolve()
  }, new RetryClock())
  uplink.setOnline(false)
  const sent = Array.from({ length: 500 }, (_, i) => uplink.send(String(i)))
  await assert.rejects(uplink.send('one more'), { code: 'GATEWAY_OVERLOADED' })
  assert.deepEqual(arrived, [])
  uplink.setOnline(true)
  await Promise.all(sent)
  assert.equal(arrived.length, 500)
})
