/** Random packets, as models of ours and in the words of `mqtt-packet`. */
import fc from 'fast-check'
import mqttPacket from 'mqtt-packet'
import type { Packet } from 'mqtt-packet'
import type * as mqtt from '../../src/mqtt/mqtt.ts'

/** The values that an arbitrary makes. */
type Model<A> = A extends fc.Arbitrary<infer T> ? T : never

export type Version = mqtt.ProtocolVersion

/** A grapheme may have many bytes, and a topic of more than 1,024 is refused. */
const isTaken = (text: string): boolean => Buffer.byteLength(text) <= 1024

export const version = fc.constantFrom<Version>(4, 5)
export const seconds = fc.integer({ min: 0, max: 0xffffffff })
export const positive = fc.integer({ min: 1, max: 0xffff })
export const word = fc
  .string({ unit: 'grapheme', maxLength: 40 })
  .map((text) => text.toWellFormed().replaceAll('\0', '·'))
export const topic = word.map((text) => `t${text.replaceAll(/[+#/]/g, '·')}`)
export const topicName = fc
  .array(topic, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'))
  .filter(isTaken)
const filterLevel = fc.oneof(topic, fc.constant('+'), fc.constant(''))
export const filter = fc
  .tuple(fc.array(filterLevel, { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'))
  .map((text) => (text === '' ? '/' : text))
  .filter(isTaken)
const binary = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))
export const payload = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
export const qos = fc.constantFrom<0 | 1 | 2>(0, 1, 2)
// The oracle keeps user properties in an object: keys must differ and be no integers.
export const pairs = fc.uniqueArray(
  fc.tuple(
    word.map((key) => `k${key}`),
    word,
  ),
  { maxLength: 8, selector: ([key]) => key },
)

export const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })

/** Without the keys that are undefined: the oracle writes a property for each key. */
export const present = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as T

export const userProperties = (entries: readonly (readonly [string, string])[]) =>
  entries.length === 0 ? undefined : Object.fromEntries(entries)

export const message = fc.record({
  isPayloadText: fc.boolean(),
  messageExpirySeconds: maybe(seconds),
  contentType: maybe(word),
  responseTopic: maybe(topicName),
  correlationData: maybe(binary),
  userProperties: pairs,
})

/** The oracle's names for a message's properties. */
export const messageProperties = (properties: Model<typeof message>) =>
  present({
    payloadFormatIndicator: properties.isPayloadText ? true : undefined,
    messageExpiryInterval: properties.messageExpirySeconds,
    contentType: properties.contentType,
    responseTopic: properties.responseTopic,
    correlationData: properties.correlationData,
    userProperties: userProperties(properties.userProperties),
  })

export const will = fc.record({
  topic: topicName,
  payload: binary,
  qos,
  isRetained: fc.boolean(),
  delaySeconds: seconds,
  properties: message,
})

export const connect = fc.record({
  clientId: word.map((text) => `c${text}`),
  isCleanStart: fc.boolean(),
  keepAliveSeconds: fc.integer({ min: 0, max: 0xffff }),
  userName: maybe(word.map((text) => `u${text}`)),
  password: maybe(binary),
  will: maybe(will),
  sessionExpirySeconds: maybe(seconds),
  receiveMaximum: maybe(positive),
  maximumPacketSize: maybe(fc.integer({ min: 1, max: 0xffffffff })),
  topicAliasMaximum: maybe(fc.integer({ min: 0, max: 0xffff })),
  requestsResponseInformation: maybe(fc.boolean()),
  requestsProblemInformation: maybe(fc.boolean()),
  authentication: maybe(fc.record({ method: word, data: maybe(binary) })),
  userProperties: pairs,
})

export type ConnectModel = Model<typeof connect>

export const oracleConnect = (model: ConnectModel, protocolVersion: Version) => ({
  cmd: 'connect',
  protocolId: 'MQTT',
  protocolVersion,
  clientId: model.clientId,
  clean: model.isCleanStart,
  keepalive: model.keepAliveSeconds,
  ...present({
    username: model.userName,
    password: model.userName === undefined ? undefined : model.password,
    will: model.will && {
      topic: model.will.topic,
      payload: model.will.payload,
      qos: model.will.qos,
      retain: model.will.isRetained,
      properties: {
        willDelayInterval: model.will.delaySeconds,
        ...messageProperties(model.will.properties),
      },
    },
  }),
  properties: present({
    sessionExpiryInterval: model.sessionExpirySeconds,
    receiveMaximum: model.receiveMaximum,
    maximumPacketSize: model.maximumPacketSize,
    topicAliasMaximum: model.topicAliasMaximum,
    requestResponseInformation: model.requestsResponseInformation,
    requestProblemInformation: model.requestsProblemInformation,
    authenticationMethod: model.authentication?.method,
    authenticationData: model.authentication?.data,
    userProperties: userProperties(model.userProperties),
  }),
})

export const publish = fc.record({
  topic: topicName,
  payload,
  qos,
  isDuplicate: fc.boolean(),
  isRetained: fc.boolean(),
  packetId: positive,
  topicAlias: maybe(positive),
  properties: message,
})

export const subscription = fc.record({
  topic: filter,
  qos,
  nl: fc.boolean(),
  rap: fc.boolean(),
  rh: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
})

/** Packets of every kind that a client sends, as the oracle writes them. */
export const anyPacket = fc
  .tuple(connect, publish, fc.array(subscription, { minLength: 1, maxLength: 3 }), version, pairs)
  .chain(([connectModel, publishModel, subscriptions, protocolVersion, users]) => {
    const properties = present({ userProperties: userProperties(users) })
    const messageId = publishModel.packetId
    const packets: [object, Version | undefined][] = [
      [oracleConnect(connectModel, protocolVersion), undefined],
      [{ cmd: 'subscribe', messageId, subscriptions, properties }, protocolVersion],
      [
        { cmd: 'unsubscribe', messageId, unsubscriptions: subscriptions.map((each) => each.topic) },
        protocolVersion,
      ],
      [{ cmd: 'puback', messageId, reasonCode: 0x10, properties }, protocolVersion],
      [{ cmd: 'disconnect', reasonCode: 4, properties }, protocolVersion],
      [{ cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'm' } }, 5],
      [{ cmd: 'pingreq' }, protocolVersion],
      [
        {
          cmd: 'publish',
          topic: publishModel.topic,
          payload: publishModel.payload,
          qos: publishModel.qos,
          dup: false,
          retain: publishModel.isRetained,
          messageId,
          properties: messageProperties(publishModel.properties),
        },
        protocolVersion,
      ],
    ]
    return fc.constantFrom(...packets)
  })
  .map(([packet, connected]) => {
    const protocolVersion = connected ?? (packet as { protocolVersion: Version }).protocolVersion
    const bytes = mqttPacket.generate(packet as Packet, { protocolVersion })
    return { bytes, connection: { version: connected, authenticationMethod: 'm' } }
  })
