/**
 * A real Mosquitto takes what the channel sends; without one the tests say that they were skipped.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connectAsync, type IPublishPacket } from 'mqtt'
import { nodeWorld } from '../world/node-world.ts'
import { openSilentReceiver } from './http-receiver-fixture.ts'
import { openMqttPublish } from './mqtt.ts'

const PATH = `${process.env['PATH']}:/usr/sbin`
const [MOSQUITTO, MOSQUITTO_PASSWD] = ['mosquitto', 'mosquitto_passwd']
const isThere = spawnSync(MOSQUITTO, ['-h'], { env: { PATH } }).error === undefined
const skip = isThere ? false : 'mosquitto is not installed'
const folder = mkdtempSync(join(tmpdir(), 'weir-mqtt-'))
const { clock } = nodeWorld
const PASSWORD = 'hush-hush'

let broker: ChildProcess
let port = 0

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: free } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return free
}

before(async () => {
  if (skip) return
  port = await freePort()
  const passwords = join(folder, 'passwords')
  spawnSync(MOSQUITTO_PASSWD, ['-b', '-c', passwords, 'weir', PASSWORD], { env: { PATH } })
  writeFileSync(join(folder, 'acl'), 'user weir\ntopic readwrite alerts/#\n')
  const config = [
    `listener ${port} 127.0.0.1`,
    ...['allow_anonymous false', `password_file ${passwords}`, `acl_file ${join(folder, 'acl')}`],
    ...(process.getuid?.() === 0 ? ['user root'] : []),
  ]
  writeFileSync(join(folder, 'mosquitto.conf'), config.join('\n'))
  broker = spawn(MOSQUITTO, ['-c', join(folder, 'mosquitto.conf'), '-v'], { env: { PATH } })
  let said = ''
  for await (const bytes of broker.stderr!) {
    said += String(bytes)
    if (/mosquitto version .* running/.test(said)) break
  }
})

after(() => {
  broker?.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

const urlOf = (password = PASSWORD): string => `mqtt://weir:${password}@127.0.0.1:${port}`

test('N1 N3 a message is with the broker when it is sent, with its key', { skip }, async () => {
  const listener = await connectAsync(urlOf(), { protocolVersion: 5 })
  const arrived = new Promise<[string, Buffer, IPublishPacket]>((resolve) =>
    listener.once('message', (...message) => resolve(message)),
  )
  await listener.subscribeAsync('alerts/#', { qos: 1 })
  await openMqttPublish({ url: urlOf(), clock })('alerts/hall-3', '{"id":"one"}', 'key-1')
  const [topic, payload, packet] = await arrived
  assert.deepEqual([topic, payload.toString(), packet.qos], ['alerts/hall-3', '{"id":"one"}', 1])
  assert.equal(packet.properties?.userProperties?.['idempotency-key'], 'key-1')
  await listener.endAsync()
})

test('N2 N5 a wrong password is refused for good, and no error shows it', { skip }, async () => {
  const refused = openMqttPublish({ url: urlOf('not-that-one'), clock })('alerts/a', '{}', 'k')
  await assert.rejects(refused, (error: { code: string; message: string }) => {
    assert.equal(error.code, 'NOTIFY_REFUSED')
    assert.doesNotMatch(error.message, /not-that-one/)
    return true
  })
})

test('N2 a topic that it may not write to is refused for good', { skip }, async () => {
  const refused = openMqttPublish({ url: urlOf(), clock })('others/a', '{}', 'k')
  await assert.rejects(refused, { code: 'NOTIFY_REFUSED' })
})

test('N2 N4 nobody there, and somebody who says nothing: tried again', async () => {
  const nobody = openMqttPublish({ url: `mqtt://127.0.0.1:${await freePort()}`, clock })
  await assert.rejects(nobody('alerts/a', '{}', 'k'), { code: 'NOTIFY_UNAVAILABLE' })
  const silent = await openSilentReceiver()
  const url = `mqtt://127.0.0.1:${silent.port}`
  const hangs = openMqttPublish({ url, clock, timeoutMs: 200 })
  await assert.rejects(hangs('alerts/a', '{}', 'k'), { code: 'NOTIFY_UNAVAILABLE' })
  await silent.close()
})

test('what is no broker is refused', () => {
  for (const url of ['http://host', 'mqtt:', 'host:1883'])
    assert.throws(() => openMqttPublish({ url, clock }), { code: 'NOTIFY_ENDPOINT_INVALID' }, url)
})
