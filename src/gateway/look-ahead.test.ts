/** A registry that must be asked, and answers late or not at all: requests over HTTP. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { decodeFrame } from '../batch/batch.ts'
import { startRig, until, type Rig, type RigOptions } from './gateway-fixture.ts'
import type { IngestRequest, IngestResult } from './gateway.ts'
import { LateRegistry } from './late-registry-fixture.ts'

async function startLate(
  t: TestContext,
  options: Pick<RigOptions, 'register'> = {},
): Promise<{ rig: Rig; registry: LateRegistry }> {
  const registry = new LateRegistry()
  const rig = await startRig(t, { ...options, openReader: registry.openReader() })
  return { rig, registry }
}

const ADMIN = { kind: 'admin', tenant: 'default' } as const

function send(rig: Rig, body: string, more: Partial<IngestRequest> = {}): Promise<IngestResult> {
  return rig.gateway.ingest({
    ...{ format: 'json', principal: ADMIN, deviceId: undefined, isHistorical: false },
    ...{ precision: 'ns', body: new TextEncoder().encode(body) },
    ...more,
  })
}

/** The devices' numbers, message for message. */
const devices = (rig: Rig): number[] =>
  rig.frames.flatMap((frame) => {
    const { device, messageCount } = decodeFrame(frame)
    return [...device.subarray(0, messageCount)]
  })

const namesOf = (count: number): string[] => Array.from({ length: count }, (_, at) => `d${at}`)

test('a batch for 50 devices that nobody has seen is one question, and in order', async (t) => {
  const { rig, registry } = await startLate(t)
  const ids = namesOf(50)
  for (const id of ids) await rig.token(id)
  registry.isAnswering = false
  const body = JSON.stringify([...ids, 'nobody', ...ids].map((device) => ({ device, x: 1 })))
  const sent = send(rig, body)
  await until(() => registry.questions.length === 1, 'the registry is asked')
  registry.answer()
  const { accepted, rejected } = await sent
  assert.equal(accepted, 100)
  assert.deepEqual(
    rejected.map(({ index, code }) => [index, code]),
    [[50, 'GATEWAY_DEVICE_UNKNOWN']],
  )
  assert.deepEqual(registry.questions, [[...ids, 'nobody']])
  const inOrder = ids.map((_, at) => at + 1)
  assert.deepEqual(devices(rig), [...inOrder, ...inOrder])
  rig.take()
  await send(rig, JSON.stringify(ids.map((device) => ({ device, x: 1 }))))
  assert.equal(registry.questions.length, 1, 'known now')
})

test('more devices than a question holds', async (t) => {
  const { rig, registry } = await startLate(t)
  const ids = namesOf(1300)
  await Promise.all(ids.filter((_, at) => at % 4 === 0).map((id) => rig.token(id)))
  const body = JSON.stringify(ids.map((device) => ({ device, x: 1 })))
  const { accepted, rejectedCount } = await send(rig, body)
  assert.deepEqual([accepted, rejectedCount], [325, 975])
  assert.equal(registry.questions.length, 3)
})

test('path and credential are asked for, and nothing else that such a body names', async (t) => {
  const { rig, registry } = await startLate(t)
  await rig.token('a')
  await rig.token('kid', { parent: 'gw' })
  const principal = { kind: 'device', tenant: 'default', deviceId: 'a' } as const
  const own = await send(rig, '[{"x":1},{"device":"b","x":1}]', { principal })
  assert.deepEqual([own.accepted, own.rejected[0]?.code], [1, 'GATEWAY_DEVICE_FORBIDDEN'])
  const gateway = { kind: 'gateway', tenant: 'default', deviceId: 'gw' } as const
  const of = { principal: gateway, deviceId: 'kid' }
  assert.equal((await send(rig, '{"x":1}', of)).accepted, 1)
  assert.deepEqual(registry.questions, [['a'], ['kid']])
  const unknown = send(rig, '{"x":1}', { deviceId: 'nobody' })
  await assert.rejects(unknown, { code: 'GATEWAY_DEVICE_UNKNOWN' })
})

test('line protocol: its tags are asked for', async (t) => {
  const { rig, registry } = await startLate(t)
  await rig.token('a')
  await rig.token('b')
  const lines = 'm,device_id=a x=1\nm,device_id=b x=2\nm,device_id=c x=3\nno line'
  const { accepted, rejected } = await send(rig, lines, { format: 'line' })
  assert.deepEqual([accepted, rejected.length], [2, 2])
  assert.deepEqual(registry.questions, [['a', 'b', 'c']])
})

test('lines of devices that are registered by them count at once', async (t) => {
  const registered: string[] = []
  const { rig, registry } = await startLate(t, {
    async register(control, ids) {
      registered.push(...ids)
      for (const id of ids) await control.createDevice('default', { id, type: 'generic' })
    },
  })
  await rig.token('a')
  const lines = 'm,device_id=a x=1\nm,device_id=b x=2'
  assert.equal((await send(rig, lines, { format: 'line' })).accepted, 2)
  assert.deepEqual(registered, ['b'])
  assert.deepEqual(registry.questions, [['a', 'b'], ['b']])
})

test('the registry is away: 503 that a retry can help; known devices go on', async (t) => {
  const { rig, registry } = await startLate(t)
  await rig.token('a')
  await send(rig, '{"device":"a","x":1}')
  await rig.token('b')
  registry.isAway = true
  assert.equal((await send(rig, '{"device":"a","x":2}')).accepted, 1)
  for (const more of [{ deviceId: 'b' }, {}])
    await assert.rejects(send(rig, '[{"device":"a"},{"device":"b","x":1}]', more), {
      code: 'CONTROL_UNAVAILABLE',
    })
  await assert.rejects(send(rig, 'm,device_id=b x=1', { format: 'line' }), {
    code: 'CONTROL_UNAVAILABLE',
  })
  assert.deepEqual(devices(rig), [1, 1], 'nothing of them was kept')
  registry.isAway = false
  assert.equal((await send(rig, '{"device":"b","x":1}')).accepted, 1)
})
