/**
 * Our codec against `mqtt-packet`, an independent one: what either writes, the other reads alike.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import mqttPacket from 'mqtt-packet'
import type { Packet } from 'mqtt-packet'
import * as mqtt from '../../src/mqtt/mqtt.ts'
import {
  version,
  seconds,
  positive,
  word,
  topicName,
  payload,
  pairs,
  maybe,
  present,
  userProperties,
  message,
  messageProperties,
  connect,
  oracleConnect,
  publish,
  subscription,
} from './mqtt-models.ts'
import type { ConnectModel, Version } from './mqtt-models.ts'
import { receive } from './receive.ts'
import type { Connection } from './receive.ts'

function accept(packet: object, connection: Connection): { packet: unknown; bytes: Uint8Array } {
  const protocolVersion = connection.version ?? 4
  const bytes = mqttPacket.generate(packet as Packet, { protocolVersion })
  const received = receive(bytes, connection)
  assert.equal(received.outcome, 'packet', JSON.stringify(received))
  assert.ok(received.outcome === 'packet')
  assert.equal(received.length, bytes.length)
  return { packet: received.packet, bytes }
}

/** What the oracle reads from our bytes. */
function oracleReads(bytes: Uint8Array, protocolVersion: Version): Record<string, unknown> {
  const packets: Record<string, unknown>[] = []
  const parser = mqttPacket.parser({ protocolVersion })
  parser.on('packet', (packet) => packets.push({ ...packet }))
  parser.on('error', (error) => assert.fail(error))
  assert.equal(parser.parse(Buffer.from(bytes)), 0)
  assert.equal(packets.length, 1)
  return packets[0]!
}

const textOf = (bytes: Uint8Array, start: number, end: number): string =>
  Buffer.from(bytes.subarray(start, end)).toString('utf8')

const plain = (bytes: Uint8Array | undefined) => bytes && [...bytes]

test('M3 CONNECT: what the oracle writes is read with every field', () => {
  fc.assert(
    fc.property(connect, version, (model, protocolVersion) => {
      const isNew = protocolVersion === 5
      const connection = { version: undefined }
      const { packet } = accept(oracleConnect(model, protocolVersion), connection)
      const read = packet as mqtt.Connect
      assert.equal(read.version, protocolVersion)
      assert.equal(read.clientId, model.clientId)
      assert.equal(read.isCleanStart, model.isCleanStart)
      assert.equal(read.keepAliveSeconds, model.keepAliveSeconds)
      assert.equal(read.userName, model.userName)
      const password = model.userName === undefined ? undefined : model.password
      assert.deepEqual(plain(read.password), plain(password))
      const expiry = isNew ? (model.sessionExpirySeconds ?? 0) : model.isCleanStart ? 0 : 0xffffffff
      assert.equal(read.sessionExpirySeconds, expiry)
      assert.equal(read.receiveMaximum, (isNew && model.receiveMaximum) || 0xffff)
      assert.equal(read.maximumPacketSize, (isNew && model.maximumPacketSize) || Infinity)
      assert.equal(read.topicAliasMaximum, (isNew && model.topicAliasMaximum) || 0)
      assert.equal(read.requestsResponseInformation, isNew && !!model.requestsResponseInformation)
      assert.equal(
        read.requestsProblemInformation,
        !isNew || (model.requestsProblemInformation ?? true),
      )
      const authentication = isNew ? model.authentication : undefined
      assert.equal(read.authenticationMethod, authentication?.method)
      assert.deepEqual(plain(read.authenticationData), plain(authentication?.data))
      assert.deepEqual(read.userProperties, isNew ? model.userProperties : [])
      assertWill(read.will, model.will, isNew)
    }),
  )
})

function assertWill(
  read: mqtt.Will | undefined,
  model: ConnectModel['will'],
  isNew: boolean,
): void {
  assert.equal(read === undefined, model === undefined)
  if (!read || !model) return
  assert.equal(read.topic, model.topic)
  assert.deepEqual(plain(read.payload), plain(model.payload))
  assert.equal(read.qos, model.qos)
  assert.equal(read.isRetained, model.isRetained)
  assert.equal(read.delaySeconds, isNew ? model.delaySeconds : 0)
  assert.equal(read.isPayloadText, isNew && model.properties.isPayloadText)
  const properties = isNew ? model.properties : undefined
  assert.equal(read.messageExpirySeconds, properties?.messageExpirySeconds)
  assert.equal(read.contentType, properties?.contentType)
  assert.equal(read.responseTopic, properties?.responseTopic)
  assert.deepEqual(plain(read.correlationData), plain(properties?.correlationData))
  assert.deepEqual(read.userProperties, properties?.userProperties ?? [])
}

test('M3 PUBLISH: what the oracle writes is found at its place', () => {
  fc.assert(
    fc.property(publish, version, (model, protocolVersion) => {
      const isDuplicate = model.isDuplicate && model.qos > 0
      const written = {
        cmd: 'publish',
        topic: model.topic,
        payload: model.payload,
        qos: model.qos,
        dup: isDuplicate,
        retain: model.isRetained,
        messageId: model.packetId,
        properties: {
          ...messageProperties(model.properties),
          ...present({ topicAlias: model.topicAlias }),
        },
      }
      const { packet, bytes } = accept(written, { version: protocolVersion })
      const view = packet as mqtt.PublishView
      assert.equal(textOf(bytes, view.topicStart, view.topicEnd), model.topic)
      assert.deepEqual(
        plain(bytes.subarray(view.payloadStart, view.payloadEnd)),
        plain(model.payload),
      )
      assert.deepEqual(
        [view.qos, view.isDuplicate, view.isRetained],
        [model.qos, isDuplicate, model.isRetained],
      )
      assert.equal(view.packetId, model.qos === 0 ? 0 : model.packetId)
      assert.equal(view.topicAlias, (protocolVersion === 5 && model.topicAlias) || 0)
      const pairsRead = view.properties.userProperties()
      assert.deepEqual(pairsRead, protocolVersion === 5 ? model.properties.userProperties : [])
    }),
  )
})

test('M3 SUBSCRIBE and UNSUBSCRIBE: what the oracle writes is read with every filter', () => {
  const model = fc.record({
    messageId: positive,
    subscriptions: fc.array(subscription, { minLength: 1, maxLength: 6 }),
    identifier: maybe(fc.integer({ min: 1, max: 268_435_455 })),
    pairs,
  })
  fc.assert(
    fc.property(
      model,
      version,
      ({ messageId, subscriptions, identifier, pairs }, protocolVersion) => {
        const isNew = protocolVersion === 5
        const users = present({ userProperties: userProperties(pairs) })
        const properties = { ...present({ subscriptionIdentifier: identifier }), ...users }
        const subscribe = { cmd: 'subscribe', messageId, subscriptions, properties }
        const read = accept(subscribe, { version: protocolVersion }).packet as mqtt.Subscribe
        assert.equal(read.packetId, messageId)
        assert.equal(read.subscriptionIdentifier, isNew ? identifier : undefined)
        assert.deepEqual(read.userProperties, isNew ? pairs : [])
        assert.deepEqual(
          read.subscriptions.map((each) => [
            each.topicFilter,
            each.qos,
            each.isNoLocal,
            each.isRetainAsPublished,
            each.retainHandling,
          ]),
          subscriptions.map(({ topic: text, qos: granted, nl, rap, rh }) =>
            isNew ? [text, granted, nl, rap, rh] : [text, granted, false, false, 0],
          ),
        )
        const unsubscriptions = subscriptions.map(({ topic: text }) => text)
        const unsubscribe = { cmd: 'unsubscribe', messageId, unsubscriptions, properties: users }
        const left = accept(unsubscribe, { version: protocolVersion }).packet as mqtt.Unsubscribe
        assert.deepEqual(left.filters, unsubscriptions)
        assert.equal(left.packetId, messageId)
      },
    ),
  )
})

test('M3 PUBACK, DISCONNECT, AUTH, PINGREQ: what the oracle writes is read', () => {
  const puback = fc.constantFrom(0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
  const disconnect = fc.constantFrom(0, 4, 0x80, 0x81, 0x82, 0x93, 0x95, 0x98)
  const model = fc.record({ puback, disconnect, id: positive, text: maybe(word), pairs, seconds })
  fc.assert(
    fc.property(model, ({ id, text, pairs, seconds, ...codes }) => {
      const common = present({ reasonString: text, userProperties: userProperties(pairs) })
      const five = { version: 5 } as const
      const acknowledged = {
        cmd: 'puback',
        messageId: id,
        reasonCode: codes.puback,
        properties: common,
      }
      const read = accept(acknowledged, five).packet as mqtt.Puback
      assert.deepEqual({ ...read }, { packetId: id, reasonCode: codes.puback, reasonString: text })
      const old = accept({ cmd: 'puback', messageId: id }, { version: 4 }).packet as mqtt.Puback
      assert.equal(old.packetId, id)
      const properties = { sessionExpiryInterval: seconds, ...common }
      const leave = { cmd: 'disconnect', reasonCode: codes.disconnect, properties }
      const left = accept(leave, five).packet as mqtt.Disconnect
      assert.equal(left.reasonCode, codes.disconnect)
      assert.equal(left.sessionExpirySeconds, seconds)
      assert.equal(left.reasonString, text)
      assert.deepEqual(left.userProperties, pairs)
      const authenticationData = Buffer.from(`${seconds}`)
      const again = { authenticationMethod: 'm', authenticationData, ...common }
      const auth = { cmd: 'auth', reasonCode: 0x18, properties: again }
      const asked = accept(auth, { version: 5, authenticationMethod: 'm' }).packet as mqtt.Auth
      assert.deepEqual(plain(asked.authenticationData), plain(authenticationData))
      assert.deepEqual(asked.userProperties, pairs)
      accept({ cmd: 'pingreq' }, five)
      accept({ cmd: 'disconnect' }, { version: 4 })
    }),
  )
})

test('M5 CONNACK: the oracle reads every grant that we write', () => {
  const grant = fc.record({
    isSessionPresent: fc.boolean(),
    sessionExpirySeconds: maybe(seconds),
    receiveMaximum: maybe(positive),
    maximumQos: maybe(fc.constantFrom<0 | 1>(0, 1)),
    isRetainAvailable: maybe(fc.boolean()),
    maximumPacketSize: maybe(fc.integer({ min: 1, max: 0xffffffff })),
    assignedClientId: maybe(word),
    topicAliasMaximum: maybe(fc.integer({ min: 0, max: 0xffff })),
    isWildcardSubscriptionAvailable: maybe(fc.boolean()),
    areSubscriptionIdentifiersAvailable: maybe(fc.boolean()),
    isSharedSubscriptionAvailable: maybe(fc.boolean()),
    serverKeepAliveSeconds: maybe(fc.integer({ min: 0, max: 0xffff })),
    responseInformation: maybe(word),
    userProperties: pairs,
  })
  fc.assert(
    fc.property(grant, version, (connack, protocolVersion) => {
      const read = oracleReads(mqtt.encodeConnack(connack, protocolVersion), protocolVersion)
      assert.equal(read['sessionPresent'], connack.isSessionPresent)
      if (protocolVersion === 4) return assert.equal(read['returnCode'], 0)
      const expected = present({
        sessionExpiryInterval: connack.sessionExpirySeconds,
        receiveMaximum: connack.receiveMaximum,
        maximumQoS: connack.maximumQos,
        retainAvailable: connack.isRetainAvailable,
        maximumPacketSize: connack.maximumPacketSize,
        assignedClientIdentifier: connack.assignedClientId,
        topicAliasMaximum: connack.topicAliasMaximum,
        wildcardSubscriptionAvailable: connack.isWildcardSubscriptionAvailable,
        subscriptionIdentifiersAvailable: connack.areSubscriptionIdentifiersAvailable,
        sharedSubscriptionAvailable: connack.isSharedSubscriptionAvailable,
        serverKeepAlive: connack.serverKeepAliveSeconds,
        responseInformation: connack.responseInformation,
        userProperties: userProperties(connack.userProperties),
      })
      assert.deepEqual(read['reasonCode'], 0)
      assert.deepEqual(normal(read['properties']), normal(expected))
    }),
  )
})

/** The oracle's objects have no prototype, and none at all means no properties. */
const normal = (properties: unknown): unknown => JSON.parse(JSON.stringify(properties ?? {}))

test('M5 PUBLISH: the oracle reads the message that we write', () => {
  const model = fc.record({
    topic: topicName,
    payload,
    qos: fc.constantFrom<0 | 1>(0, 1),
    packetId: positive,
    isDuplicate: fc.boolean(),
    isRetained: fc.boolean(),
    properties: message,
    subscriptionIdentifiers: fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 3 }),
  })
  fc.assert(
    fc.property(model, version, ({ properties, ...outgoing }, protocolVersion) => {
      const bytes = mqtt.encodePublish({ ...outgoing, ...properties }, protocolVersion)
      const read = oracleReads(bytes, protocolVersion)
      assert.equal(read['topic'], outgoing.topic)
      assert.deepEqual(read['payload'], outgoing.payload)
      assert.equal(read['qos'], outgoing.qos)
      assert.equal(read['retain'], outgoing.isRetained)
      assert.equal(read['dup'], outgoing.isDuplicate && outgoing.qos > 0)
      assert.equal(read['messageId'], outgoing.qos === 0 ? undefined : outgoing.packetId)
      if (protocolVersion === 4) return
      const identifiers = outgoing.subscriptionIdentifiers
      const expected = {
        ...messageProperties(properties),
        ...present({
          subscriptionIdentifier:
            identifiers.length === 0
              ? undefined
              : identifiers.length === 1
                ? identifiers[0]
                : identifiers,
        }),
      }
      assert.deepEqual(normal(read['properties']), normal(expected))
    }),
  )
})

test('M5 PUBACK, SUBACK, UNSUBACK, DISCONNECT, PINGRESP: the oracle reads what we write', () => {
  const codes = fc.array(fc.constantFrom(0, 1, 2, 0x80, 0x87, 0x8f), { minLength: 1, maxLength: 9 })
  const reasonCode = fc.constantFrom(0, 0x10, 0x80, 0x83, 0x97)
  const model = fc.record({ packetId: positive, codes, reasonCode, reasonString: maybe(word) })
  fc.assert(
    fc.property(
      model,
      version,
      ({ packetId, codes, reasonCode, reasonString }, protocolVersion) => {
        const isNew = protocolVersion === 5
        const properties = normal(isNew ? { reasonString } : {})
        const puback = mqtt.encodePuback({ packetId, reasonCode, reasonString }, protocolVersion)
        const acknowledged = oracleReads(puback, protocolVersion)
        assert.equal(acknowledged['messageId'], packetId)
        assert.equal(acknowledged['reasonCode'] ?? 0, isNew ? reasonCode : 0)
        assert.deepEqual(normal(acknowledged['properties']), properties)
        const acknowledgement = { packetId, reasonCodes: codes, reasonString }
        const suback = oracleReads(
          mqtt.encodeSuback(acknowledgement, protocolVersion),
          protocolVersion,
        )
        assert.equal(suback['messageId'], packetId)
        const granted = isNew ? codes : codes.map((code) => (code >= 0x80 ? 0x80 : code))
        assert.deepEqual(suback['granted'], granted)
        assert.deepEqual(normal(suback['properties']), properties)
        const none = codes.map((code) => (code >= 0x80 ? code : 0))
        const unsubscribed = { packetId, reasonCodes: none, reasonString }
        const unsuback = mqtt.encodeUnsuback(unsubscribed, protocolVersion)
        const left = oracleReads(unsuback, protocolVersion)
        assert.equal(left['messageId'], packetId)
        if (isNew) assert.deepEqual(left['granted'], none)
        const disconnect = mqtt.encodeDisconnect({ reasonCode: 0x8b, reasonString })
        const said = oracleReads(disconnect, 5)
        assert.equal(said['reasonCode'], 0x8b)
        assert.deepEqual(normal(said['properties']), normal({ reasonString }))
        assert.equal(oracleReads(mqtt.encodePingresp(), protocolVersion)['cmd'], 'pingresp')
      },
    ),
  )
})
