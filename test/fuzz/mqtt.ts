/** MQTT: packets against the oracle, and streams of them against the gateway's connections. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import mqttPacket, { type Packet } from 'mqtt-packet'
import type { ReadingBatch } from '../../src/batch/batch.ts'
import * as mqtt from '../../src/mqtt/mqtt.ts'
import { anyPacket } from '../protocol/mqtt-models.ts'
import { receive } from '../protocol/receive.ts'
import { cuts, mutated, pieces } from './bytes.ts'
import { claim, type FuzzTarget } from './claim.ts'
import { DEVICE, MemoryGateway, TOKEN } from './memory-gateway.ts'

type Version = mqtt.ProtocolVersion

const packetOf = (packet: object, protocolVersion: Version): Uint8Array =>
  mqttPacket.generate(packet as Packet, { protocolVersion })

const version = fc.constantFrom<Version>(4, 5)

/** A session's CONNECT, most of the time with the right token. */
const connect = (protocolVersion: Version, password: string): Uint8Array =>
  packetOf(
    {
      ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion, clientId: 'c', clean: true },
      ...{ keepalive: 60, username: DEVICE, password: Buffer.from(password) },
    },
    protocolVersion,
  )

const payload = fc.oneof(
  fc.integer({ min: -40, max: 150 }).map((value) => `{"temperature":${value}}`),
  fc
    .integer({ min: -40, max: 150 })
    .map((value) => `[{"temperature":${value}}, {"temperature":1}]`),
  fc.constantFrom('{"temperature":999}', 'nonsense', '', '[]', '{"ts":1,"temperature":2}'),
)

/** What a client sends in a session: right, nearly right, or of another packet's kind. */
const sent = (protocolVersion: Version): fc.Arbitrary<Uint8Array> => {
  const publish = fc
    .tuple(payload, fc.constantFrom(0, 1), fc.integer({ min: 1, max: 65_535 }), fc.boolean())
    .map(([body, qos, messageId, isOwn]) => {
      const topic = `devices/${isOwn ? DEVICE : 'other'}/telemetry`
      const fixed = { cmd: 'publish', dup: false, retain: false }
      return packetOf({ ...fixed, topic, payload: body, qos, messageId }, protocolVersion)
    })
  const subscription = { topic: `devices/${DEVICE}/#`, qos: 1 }
  const others = fc.constantFrom(
    packetOf({ cmd: 'pingreq' }, protocolVersion),
    packetOf({ cmd: 'subscribe', messageId: 9, subscriptions: [subscription] }, protocolVersion),
    packetOf({ cmd: 'unsubscribe', messageId: 8, unsubscriptions: ['a'] }, protocolVersion),
    packetOf({ cmd: 'disconnect', reasonCode: 0 }, protocolVersion),
  )
  return fc.oneof(
    { weight: 6, arbitrary: publish },
    { weight: 3, arbitrary: others },
    { weight: 1, arbitrary: mutated(publish) },
    { weight: 1, arbitrary: anyPacket.map(({ bytes }) => bytes) },
  )
}

interface Stream {
  protocolVersion: Version
  bytes: Uint8Array
}

const stream: fc.Arbitrary<Stream> = version.chain((protocolVersion) =>
  fc
    .tuple(
      fc.oneof({ weight: 9, arbitrary: fc.constant(TOKEN) }, fc.constantFrom('', 'wrong')),
      fc.array(sent(protocolVersion), { maxLength: 12 }),
    )
    .map(([password, packets]) => ({
      protocolVersion,
      bytes: new Uint8Array(Buffer.concat([connect(protocolVersion, password), ...packets])),
    })),
)

/** Its packets as the oracle reads them; fails when it cannot. */
function parsed(bytes: Uint8Array, protocolVersion: Version): Record<string, unknown>[] {
  const packets: Record<string, unknown>[] = []
  const parser = mqttPacket.parser({ protocolVersion })
  parser.on('packet', (packet) => packets.push({ ...packet }))
  parser.on('error', (error) => assert.fail(error))
  assert.equal(parser.parse(Buffer.from(bytes)), 0, 'the server’s bytes end in the middle')
  return packets
}

const readingsOf = (batches: ReadingBatch[]): number[] =>
  batches.flatMap(({ value, readingCount }) => [...value.subarray(0, readingCount)])

/** All that can be seen of a connection. PUBACKs keep their order, and so do the other answers. */
async function seen(bytes: readonly Uint8Array[], protocolVersion: Version): Promise<unknown> {
  const gateway = await MemoryGateway.start()
  const { answer, isEnded, failures, batches } = await gateway.exchange(bytes)
  await gateway.stop()
  assert.equal(failures['INTERNAL_FAULT'], undefined, 'a parser threw what is no WeirError')
  const packets = parsed(answer, protocolVersion)
  const isPuback = ({ cmd }: Record<string, unknown>): boolean => cmd === 'puback'
  return {
    pubacks: packets.filter(isPuback),
    others: packets.filter((packet) => !isPuback(packet)),
    isEnded,
    failures,
    readings: readingsOf(batches),
  }
}

/** What we accept of mutated bytes, the oracle must read alike, where it reads at all. */
function agrees(bytes: Uint8Array, connection: { version?: Version | undefined }): void {
  const received = receive(bytes, connection)
  if (received.outcome !== 'packet') return
  const protocolVersion = connection.version ?? (received.packet as mqtt.Connect).version
  const packet = oracle(bytes.subarray(0, received.length), protocolVersion)
  if (packet === undefined) return
  const text = (start: number, end: number): string =>
    Buffer.from(bytes.subarray(start, end)).toString()
  if (received.packet instanceof mqtt.PublishView) {
    const { topicStart, topicEnd, payloadStart, payloadEnd, qos, packetId } = received.packet
    assert.equal(packet['topic'], text(topicStart, topicEnd))
    assert.deepEqual(
      Buffer.from(packet['payload'] as Uint8Array).toString('latin1'),
      Buffer.from(bytes.subarray(payloadStart, payloadEnd)).toString('latin1'),
    )
    assert.equal(packet['qos'], qos)
    assert.equal(packet['messageId'] ?? 0, packetId)
  } else if (received.type === mqtt.PACKET_CONNECT) {
    const read = received.packet as mqtt.Connect
    assert.equal(packet['clientId'], read.clientId)
    assert.equal(packet['username']?.toString(), read.userName)
    assert.equal(packet['keepalive'], read.keepAliveSeconds)
  } else if (received.type === mqtt.PACKET_SUBSCRIBE) {
    const { subscriptions, packetId } = received.packet as mqtt.Subscribe
    assert.equal(packet['messageId'], packetId)
    assert.deepEqual(
      (packet['subscriptions'] as { topic: string }[]).map(({ topic }) => topic),
      subscriptions.map(({ filter }) => filter),
    )
  }
}

/** The one packet as the oracle reads it; undefined when it refuses what we take. */
function oracle(bytes: Uint8Array, protocolVersion: Version): Record<string, unknown> | undefined {
  const packets: Record<string, unknown>[] = []
  const parser = mqttPacket.parser({ protocolVersion })
  let isRefused = false
  parser.on('packet', (packet) => packets.push({ ...packet }))
  parser.on('error', () => (isRefused = true))
  try {
    parser.parse(Buffer.from(bytes))
  } catch {
    // It reads lengths before it checks them.
    isRefused = true
  }
  return isRefused ? undefined : packets[0]
}

const mutatedPacket = anyPacket.chain(({ bytes, connection }) =>
  mutated(fc.constant(bytes)).map((changed) => ({ bytes: changed, connection })),
)

export const mqttTarget: FuzzTarget = {
  name: 'mqtt',
  claims: [
    claim(
      'what is accepted of mutated packets, the oracle reads alike',
      1500,
      fc.property(mutatedPacket, ({ bytes, connection }) => agrees(bytes, connection)),
    ),
    claim(
      'a packet is judged alike, whatever stands around it and wherever it is cut short',
      150,
      fc.property(mutatedPacket, ({ bytes, connection }) => {
        const surrounded = new Uint8Array(bytes.length + 20).fill(0x26)
        surrounded.set(bytes, 10)
        for (let end = 0; end <= bytes.length; end++) {
          const within = receive(surrounded, { ...connection, start: 10, end: 10 + end })
          const alone = receive(bytes, { ...connection, end })
          assert.equal(within.outcome, alone.outcome)
        }
      }),
    ),
    claim(
      'a stream has the same effect, however it is cut into pieces',
      150,
      fc.asyncProperty(stream, cuts, async ({ bytes, protocolVersion }, how) => {
        const whole = await seen([bytes], protocolVersion)
        assert.deepEqual(await seen(pieces(bytes, how), protocolVersion), whole)
      }),
    ),
    claim(
      'whatever comes in, what goes out is valid, and nothing breaks',
      250,
      fc.asyncProperty(
        fc.oneof(
          stream.chain((one) =>
            mutated(fc.constant(one.bytes)).map((bytes) => ({ ...one, bytes })),
          ),
          fc.record({ protocolVersion: version, bytes: fc.uint8Array({ maxLength: 200 }) }),
        ),
        cuts,
        async ({ bytes, protocolVersion }, how) => {
          // A changed CONNECT may have asked for the other version.
          const asked = bytes[8] === 4 || bytes[8] === 5 ? bytes[8] : protocolVersion
          await seen(pieces(bytes, how), asked)
        },
      ),
    ),
  ],
}
