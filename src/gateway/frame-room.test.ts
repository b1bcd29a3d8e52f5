import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeFrame } from '../batch/batch.ts'
import { FrameRoom, messageShare } from './frame-room.ts'
import { startRig, until } from './gateway-fixture.ts'
import { TestGateway } from './testing.ts'

/** The fixture's log takes entries of this size. */
const FRAME_BYTES_MAX = 1 << 20

const request = (body: string, format: 'json' | 'line') => ({
  format,
  body: new TextEncoder().encode(body),
  principal: { kind: 'device' as const, tenant: 'default', deviceId: 'd1' },
  deviceId: undefined,
  isHistorical: false,
  precision: 'ns' as const,
})

test('an array that outgrows a log entry is refused as a whole, and what comes next is not', async (t) => {
  const rig = await startRig(t)
  await rig.token('d1')
  const body = `[${'{"x":1},'.repeat(30_000)}{"x":1}]`
  const { accepted, rejected } = await rig.gateway.ingest(request(body, 'json'))
  assert.deepEqual([accepted, rejected[0]?.code], [0, 'TELEMETRY_LIMIT_EXCEEDED'])
  rig.take()
  const next = await rig.gateway.ingest(request('{"x":1}', 'json'))
  assert.equal(next.accepted, 1)
})

test('lines are cut into as many entries as they need', async (t) => {
  const rig = await startRig(t)
  await rig.token('d1')
  const taking = setInterval(() => rig.take(), 1)
  t.after(() => clearInterval(taking))
  const sizes: number[] = []
  const { append } = rig.log
  rig.log.append = (bytes) => {
    sizes.push(bytes.length)
    return append.call(rig.log, bytes)
  }
  const good = await rig.gateway.ingest(request('m x=1\n'.repeat(40_000), 'line'))
  assert.equal(good.accepted, 40_000)
  await until(() => !rig.gateway.commit.isBlocked, 'it is taken')
  // A control character has six bytes in a dead letter.
  const bad = `m x="${'\u0001'.repeat(20_000)}"y\n`
  const refused = await rig.gateway.ingest(request(bad.repeat(100), 'line'))
  assert.equal(refused.rejectedCount, 100)
  await until(() => sizes.length > 10, 'several entries')
  assert.ok(Math.max(...sizes) <= FRAME_BYTES_MAX, `${Math.max(...sizes)}`)
})

test('series with long dimensions, and more of them than fit into an entry, are refused', () => {
  const gateway = new TestGateway()
  const slot = 'x'.repeat(2000)
  gateway.json(`{"load":1,"tags":{"slot":"${slot}"}}`, 'rack-1')
  assert.equal(gateway.decoder.outcome.rejected[0]?.code, 'TELEMETRY_LIMIT_EXCEEDED')
  gateway.json('{"load":1,"tags":{"slot":"a"}}', 'rack-1')
  assert.equal(gateway.decoder.outcome.accepted, 1)
})

test('the worst that one message brings fits behind the worst that waits', () => {
  for (const frameBytesMax of [60_000, 1 << 20, 64 << 20]) {
    const limits = { batchReadingsMax: 65_536, frameBytesMax }
    const { readingsMax, definitionBytesMax, payloadBytesMax } = messageShare(limits)
    const definitions = readingsMax * 12 + definitionBytesMax
    const body = frameBytesMax / 2
    assert.ok(body + definitions <= frameBytesMax)
    assert.ok(body + definitionBytesMax + payloadBytesMax * 6 <= frameBytesMax)
    const gateway = new TestGateway()
    const room = new FrameRoom(gateway, limits)
    gateway.builder.deadLetterBytes = body + 1
    assert.ok(room.isFull)
    if (body < 16 << 20) assert.throws(() => room.check(), { code: 'TELEMETRY_LIMIT_EXCEEDED' })
    const frame = gateway.builder.seal(0, undefined, (bytes) => new ArrayBuffer(bytes))
    assert.equal(decodeFrame(frame).messageCount, 0)
    assert.ok(!room.isFull)
  }
})
