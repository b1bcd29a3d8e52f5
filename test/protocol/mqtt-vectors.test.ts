/**
 * The vectors of `mqtt-packet`'s own tests (its package carries them): 56 packets that are right,
 * and 60 that are wrong. Where we judge otherwise, the reason is listed.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { compileFunction } from 'node:vm'
import * as mqtt from '../../src/mqtt/mqtt.ts'
import { receive } from './receive.ts'

interface Vector {
  name: string
  packet: { cmd: string; protocolVersion?: number }
  bytes: Buffer
  version: mqtt.ProtocolVersion
}

interface Vectors {
  right: Vector[]
  wrong: { name: string; bytes: Buffer; version: mqtt.ProtocolVersion }[]
}

/** Runs the test file with a test runner that only takes its helpers' arguments down. */
function readVectors(): Vectors {
  const require = createRequire(import.meta.url)
  const source = readFileSync(require.resolve('mqtt-packet/test.js'), 'utf8')
  const vectors: Vectors = { right: [], wrong: [] }
  const versionOf = (options: { protocolVersion?: number } | undefined): mqtt.ProtocolVersion =>
    options?.protocolVersion === 5 ? 5 : 4
  const keepRight = (
    name: string,
    packet: Vector['packet'],
    bytes: Buffer,
    options?: { protocolVersion?: number },
  ) => vectors.right.push({ name, packet, bytes, version: versionOf(options ?? packet) })
  const keepWrong = (name: string, bytes: Buffer, options?: { protocolVersion?: number }) =>
    vectors.wrong.push({ name, bytes, version: versionOf(options) })
  const hooked = source
    .replaceAll(/^function testParseGenerate \(/gm, 'function unusedParseGenerate (')
    .replaceAll(/^function testParseError \(/gm, 'function unusedParseError (')
  const stub = (id: string): unknown =>
    id === 'tape' ? () => undefined : id === './' ? require('mqtt-packet') : require(id)
  const run = compileFunction(hooked, ['require', 'testParseGenerate', 'testParseError'])
  run(stub, keepRight, keepWrong)
  return vectors
}

/** What the oracle takes and a server must not: it reads for both sides, and MQTT 3.1 as well. */
const REFUSALS: [RegExp, string[]][] = [
  [
    /^protocol "MQIsdp" level/,
    [
      'minimal connect',
      'connect MQTT bridge 131',
      'connect MQTT bridge 132',
      'empty will payload',
      'empty buffer username payload',
      'empty string username payload',
      'empty buffer password payload',
      'empty string password payload',
      'empty string username and password payload',
      'maximal connect',
      'max connect with special chars',
    ],
  ],
  [
    /^a client’s PUBLISH has a subscription identifier$/, // [MQTT-3.3.4-6]
    [
      'publish MQTT 5 properties',
      'publish MQTT 5 with multiple same properties',
      'publish MQTT 5 properties with 0-4 byte varbyte',
      'publish MQTT 5 properties with max value varbyte',
    ],
  ],
  [/^server reference in the wrong packet$/, ['disconnect MQTT 5']], // Section 3.14.2.2.5.
  [/^a client’s AUTH with reason code 0x0$/, ['auth MQTT 5']], // Table 3-11.
]

const CLIENT_PACKETS = 'connect publish puback subscribe unsubscribe pingreq disconnect auth'.split(
  ' ',
)

const { right, wrong } = readVectors()

const judge = (bytes: Buffer, version: mqtt.ProtocolVersion) => {
  const isConnect = bytes[0]! >> 4 === mqtt.PACKET_CONNECT
  return receive(bytes, {
    version: isConnect ? undefined : version,
    authenticationMethod: 'test',
  })
}

test('M3 the oracle’s packets from clients are read, but for the listed ones', () => {
  const fromClients = right.filter(({ packet }) => CLIENT_PACKETS.includes(packet.cmd))
  assert.ok(fromClients.length >= 35, `${fromClients.length} vectors`)
  const listed = new Map(REFUSALS.flatMap(([why, names]) => names.map((name) => [name, why])))
  for (const { name, bytes, version } of fromClients) {
    const received = judge(bytes, version)
    const why = listed.get(name)
    listed.delete(name)
    if (why === undefined) {
      assert.equal(received.outcome, 'packet', name)
    } else {
      assert.ok(received.outcome === 'refused', name)
      assert.match(received.error.message, why)
    }
  }
  assert.deepEqual([...listed.keys()], [])
})

test('M3 the oracle’s broken packets are refused', () => {
  assert.ok(wrong.length >= 50, `${wrong.length} vectors`)
  for (const { name, bytes, version } of wrong) {
    assert.equal(judge(bytes, version).outcome, 'refused', name)
  }
})
