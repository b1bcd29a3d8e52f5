/**
 * What the registry says of a device goes into the log before its messages, and when it changed.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Packet } from 'mqtt-packet'
import { decodeFrame, type DeviceFacts } from '../batch/batch.ts'
import type { NewDevice } from '../control/control.ts'
import { Dictionary } from './dictionary.ts'
import { publish, startRig, until, Wire, type Rig } from './gateway-fixture.ts'
import { LateRegistry } from './late-registry-fixture.ts'

const connect = (id: string, token: string): Packet => ({
  ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId: id, clean: true },
  ...{ keepalive: 30, username: id, password: Buffer.from(token) },
})

async function register(rig: Rig, device: Omit<NewDevice, 'type'>): Promise<string> {
  const { token } = await rig.control.createDevice('default', { type: 'pump', ...device })
  return token
}

function without({ device: _number, ...facts }: DeviceFacts): Omit<DeviceFacts, 'device'> {
  return facts
}

/** What was told, and the messages, in the order of the log. */
function story(rig: Rig): (string | Omit<DeviceFacts, 'device'>)[] {
  return rig.frames.flatMap((frame) => {
    const { definitions, messageCount, device, value } = decodeFrame(frame)
    const told = (definitions?.devices ?? []).map((one) => without(one))
    return [
      ...told,
      ...Array.from({ length: messageCount }, (_, at) => `${device[at]}:${value[at]}`),
    ]
  })
}

/** A connection of its own for one message, which resolves when that is acknowledged. */
async function send(rig: Rig, [id, token]: [string, string], payload: string): Promise<void> {
  const wire = new Wire(rig.port, 5)
  wire.send(connect(id, token), 5)
  wire.send(publish(id, 1, payload), 5)
  await until(() => wire.packets.length === 2 || wire.isClosed, 'PUBACK')
  wire.socket.destroy()
}

test('facts of a device stand before its first message, once; of one without any there are none', async (t) => {
  const rig = await startRig(t)
  const facts = { location: 'hall 4', tags: { line: 'b' }, parent: 'edge' }
  const known = await register(rig, { id: 'known', ...facts })
  const plain = await register(rig, { id: 'plain' })
  for (const temperature of [1, 2]) {
    await send(rig, ['known', known], `{"temperature":${temperature}}`)
    await send(rig, ['plain', plain], `{"temperature":${temperature}}`)
  }
  const name = { tenant: 'default', deviceId: 'known', deviceType: 'pump' }
  assert.deepEqual(story(rig), [{ ...name, ...facts }, '1:1', '2:1', '1:2', '2:2'])
})

test('facts of a device that never connects itself stand before its first message, too', async (t) => {
  const rig = await startRig(t)
  await register(rig, { id: 'edge', isGateway: true })
  await register(rig, { id: 'child', parent: 'edge' })
  const body = new TextEncoder().encode('[{"device":"child","temperature":5}]')
  const principal = { kind: 'gateway', tenant: 'default', deviceId: 'edge' } as const
  const more = { deviceId: undefined, isHistorical: false, precision: 'ns' } as const
  const { accepted } = await rig.gateway.ingest({ format: 'json', body, principal, ...more })
  assert.equal(accepted, 1)
  const [told, message] = story(rig)
  assert.deepEqual([(told as DeviceFacts).parent, message], ['edge', '2:5'])
})

/** A registry whose tags somebody edits. */
class EditedRegistry extends LateRegistry {
  tags: Record<string, string> | undefined

  override async ask(tenant: string, ids: readonly string[]) {
    const rows = await super.ask(tenant, ids)
    const { tags } = this
    return tags === undefined ? rows : rows.map((row) => ({ ...row, tags: JSON.stringify(tags) }))
  }
}

test('facts that changed in the registry are told at the next connection, also that none are left', async (t) => {
  const registry = new EditedRegistry()
  // Every token that does not fit what is remembered is asked for.
  const rig = await startRig(t, { openReader: registry.openReader({ notFoundMs: 0 }) })
  const token = await register(rig, { id: 'd1', tags: { line: 'a' } })
  const askAgain = (): Promise<void> => send(rig, ['d1', 'wrong'], '{"temperature":0}')
  await send(rig, ['d1', token], '{"temperature":1}')
  registry.tags = { line: 'b' }
  await askAgain()
  await send(rig, ['d1', token], '{"temperature":2}')
  registry.tags = {}
  await askAgain()
  await send(rig, ['d1', token], '{"temperature":3}')
  await send(rig, ['d1', token], '{"temperature":4}')
  const told = story(rig).map((one) => (typeof one === 'string' ? one : one.tags))
  assert.deepEqual(told, [{ line: 'a' }, '1:1', { line: 'b' }, '1:2', {}, '1:3', '1:4'])
})

const LIMITS = { seriesMax: 10, seriesPerDeviceMax: 10, textsMax: 10, definitionBytesMax: 1000 }
const factsOf = (device: number, tag: string): DeviceFacts => ({
  ...{ device, tenant: 't', deviceId: `d${device}`, deviceType: 'pump' },
  ...{ location: undefined, tags: { tag }, parent: undefined },
})

test('a frame takes facts up to its room, the next one what is left, and tags beyond it are left out', () => {
  const dictionary = new Dictionary({ ...LIMITS, factsBytesMax: 250 })
  for (let device = 0; device < 5; device++) dictionary.tellFacts(factsOf(device, 'x'.repeat(20)))
  dictionary.tellFacts(factsOf(5, 'x'.repeat(400)))
  assert.ok(dictionary.hasManyFacts)
  const frames: DeviceFacts[][] = []
  for (let frame = dictionary.takeNew(); frame !== undefined; frame = dictionary.takeNew()) {
    frames.push(frame.devices!)
  }
  assert.deepEqual(
    frames.map((frame) => frame.map(({ device }) => device)),
    [
      [0, 1],
      [2, 3],
      [4, 5],
    ],
  )
  for (const frame of frames) assert.ok(JSON.stringify(frame).length <= 251)
  assert.deepEqual(frames[2]![1]!.tags, {})
  assert.ok(!dictionary.hasManyFacts)
})
