/** How a gateway says goodbye: alone, or with others that take over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connected, publish, startRig, until } from './gateway-fixture.ts'

for (const [reason, reasonCode] of [
  ['GATEWAY_SHUTTING_DOWN', 0x8b],
  ['GATEWAY_REPLACED', 0x9c],
] as const) {
  test(`${reason}: what was sent is acknowledged, then MQTT 5 hears ${reasonCode}`, async (t) => {
    const rig = await startRig(t)
    const [old, recent] = [await connected(rig, 'd1', 4), await connected(rig, 'd2', 5)]
    rig.log.isOpen = false
    recent.send(publish('d2', 1, '{"x":1}'), 5)
    await until(() => rig.log.isWaiting, 'the batch is at the gate')
    const stopping = rig.gateway.stop(reason)
    rig.log.open()
    await stopping
    await until(() => recent.isClosed && old.isClosed, 'both are closed')
    assert.deepEqual(
      recent.packets.map(({ cmd }) => cmd),
      ['puback', 'disconnect'],
    )
    assert.equal((recent.packets[1] as { reasonCode?: number }).reasonCode, reasonCode)
    assert.deepEqual(old.packets, [])
  })
}
