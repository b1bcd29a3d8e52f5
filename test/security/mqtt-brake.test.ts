/**
 * Rows that need a gateway whose brake and clock a test holds in its hands: the real one on a
 * loopback port, over a log in memory.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { decodeFrame } from '../../src/batch/batch.ts'
import { startRig, type Rig, type RigOptions } from '../../src/gateway/gateway-fixture.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { until } from '../system/weir-process.ts'
import { Peer } from './peer.ts'

const DAY_US = 86_400_000_000

async function start(
  t: TestContext,
  options: RigOptions = {},
): Promise<{ rig: Rig; join: (id: string, keepalive?: number) => Promise<Peer> }> {
  const rig = await startRig(t, options)
  const join = async (id: string, keepalive = 60): Promise<Peer> => {
    const peer = await Peer.open(rig.port, { version: 4 })
    t.after(() => peer.destroy())
    return peer.join({ id, token: await rig.token(id) }, { keepalive })
  }
  return { rig, join }
}

/** Publishes until so much lags behind that the gateway stops reading. */
async function brake(rig: Rig, peer: Peer, device: string): Promise<void> {
  for (let id = 1; !rig.gateway.commit.isBlocked; id++) {
    peer.send(peer.publishBytes(device, id))
    await peer.received(id)
  }
}

test('row 59: a client that the gateway does not read from is not closed for its silence', async (t) => {
  const { rig, join } = await start(t, { mqtt: { heldMsMax: 60_000 } })
  const peer = await join('throttled', 1)
  await brake(rig, await join('busy'), 'busy')
  peer.send(peer.packet({ cmd: 'pingreq' }))
  await until('it is held', () => rig.gateway.mqtt.heldCount === 1)
  // Two and a half keep-alives, and two sweeps over all connections.
  for (let i = 0; i < 25; i++) {
    peer.send(peer.packet({ cmd: 'pingreq' }))
    await delay(100)
  }
  assert.equal(peer.isEnded, false)
  assert.equal(peer.packets.length, 0)
  rig.take()
  await peer.received(26)
  assert.ok(peer.packets.every(({ cmd }) => cmd === 'pingresp'))
  // Read from again, its silence is its own.
  await until('it is closed', () => peer.isEnded)
})

test('row 59: nothing is kept of a stranger while the brake is on, but its CONNECT is answered', async (t) => {
  const { rig, join } = await start(t, { mqtt: { heldMsMax: 60_000 } })
  await brake(rig, await join('busy'), 'busy')
  const silent = await Peer.open(rig.port, { version: 4 })
  silent.send(Uint8Array.of(0x10))
  const peer = await Peer.open(rig.port, { version: 4 })
  t.after(() => peer.destroy())
  const credentials = { username: 'late', password: await rig.token('late') }
  const connect = peer.connectBytes({ clientId: 'late', ...credentials })
  peer.send(Buffer.concat([connect, peer.publishBytes('late', 1)]))
  assert.equal((await peer.received(1))[0]?.cmd, 'connack')
  assert.equal(rig.gateway.mqtt.heldCount, 1)
  // A stranger has its deadline all the same.
  await silent.until('it is closed', () => silent.isEnded)
  assert.equal(peer.packets.length, 1)
  rig.take()
  assert.equal((await peer.received(2))[1]?.cmd, 'puback')
})

test('row 61: a wall clock that jumps a day ends no session and keeps none', async (t) => {
  let offsetUs = 0
  const clock = Object.create(nodeWorld.clock) as typeof nodeWorld.clock
  clock.nowUs = () => nodeWorld.clock.nowUs() + offsetUs
  const { rig, join } = await start(t, { world: { ...nodeWorld, clock } })
  const peer = await join('jumping', 60)
  let id = 0
  const publish = async (): Promise<void> => {
    peer.send(peer.publishBytes('jumping', ++id))
    await peer.received(id)
  }
  await publish()
  for (const jumpUs of [DAY_US, -DAY_US]) {
    const silent = await join(`silent-${jumpUs}`, 1)
    const stranger = await Peer.open(rig.port, { version: 4 })
    offsetUs = jumpUs
    const startMs = performance.now()
    await publish()
    await stranger.until('the connect time-out', () => stranger.isEnded)
    await silent.until('the keep-alive', () => silent.isEnded)
    const tookMs = performance.now() - startMs
    assert.ok(tookMs > 1400 && tookMs < 4000, `${tookMs} ms`)
    await publish()
  }
  assert.equal(peer.isEnded, false)
  const times = rig.frames.map((frame) => decodeFrame(frame)).filter((one) => one.messageCount > 0)
  const events = times.flatMap(({ eventTimeUs }) => [...eventTimeUs])
  assert.equal(events.length, id)
  // Times that the gateway gives rise per device, whatever the clock does.
  assert.ok(events.every((time, at) => at === 0 || time > events[at - 1]!))
})
