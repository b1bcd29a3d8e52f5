/**
 * CONNECT (3.1.1 and 5, section 3.1):
 *
 *   text protocol name 'MQTT' | byte level 4 or 5 | byte flags | u16 keep alive | 5: properties
 *   text client id | will: [5: properties] text topic, binary payload | text user name
 *   binary password
 */
import { WeirError } from '../errors/errors.ts'
import { malformed, protocolError } from './failure.ts'
import type { ProtocolVersion } from './fixed-header.ts'
import type { PacketReader } from './packet-reader.ts'
import * as property from './property.ts'
import type { UserProperty } from './property.ts'
import { checkTopicName } from './topic.ts'

export interface Will {
  topic: string
  payload: Uint8Array
  qos: 0 | 1 | 2
  isRetained: boolean
  delaySeconds: number
  isPayloadText: boolean
  messageExpirySeconds: number | undefined
  contentType: string | undefined
  responseTopic: string | undefined
  correlationData: Uint8Array | undefined
  userProperties: UserProperty[]
}

/** What 3.1.1 does not have is filled with MQTT 5's defaults (or what they mean there). */
export interface Connect {
  version: ProtocolVersion
  /** May be empty: the server then assigns one. */
  clientId: string
  isCleanStart: boolean
  /** 0: no keep-alive. */
  keepAliveSeconds: number
  userName: string | undefined
  password: Uint8Array | undefined
  will: Will | undefined
  /** 0xFFFFFFFF: never expires. In 3.1.1: 0 with clean session, else 0xFFFFFFFF. */
  sessionExpirySeconds: number
  /** Unacknowledged QoS 1 messages that the client takes. */
  receiveMaximum: number
  /** Bytes; Infinity when the client named none. */
  maximumPacketSize: number
  topicAliasMaximum: number
  requestsResponseInformation: boolean
  /** False: no reason strings and user properties but in CONNACK, DISCONNECT and PUBLISH. */
  requestsProblemInformation: boolean
  authenticationMethod: string | undefined
  authenticationData: Uint8Array | undefined
  userProperties: UserProperty[]
}

const FLAG_RESERVED = 0x01
const FLAG_CLEAN_START = 0x02
const FLAG_WILL = 0x04
const FLAG_WILL_RETAIN = 0x20
const FLAG_PASSWORD = 0x40
const FLAG_USER_NAME = 0x80

const NEVER_EXPIRES = 0xffffffff

/**
 * Throws MQTT_PACKET_MALFORMED, MQTT_PROTOCOL_ERROR, MQTT_VERSION_UNSUPPORTED,
 * MQTT_CLIENT_ID_INVALID or MQTT_TOPIC_INVALID. `details.version` of the error is the version in
 * which to answer, when the packet got that far: see `encodeConnackRefusal`.
 */
export function parseConnect(body: PacketReader): Connect {
  const version = readVersion(body)
  try {
    return readConnect(body, version)
  } catch (error) {
    if (!(error instanceof WeirError)) throw error
    throw new WeirError(error.code, error.message, { details: { version }, cause: error })
  }
}

/** Levels below 4 are answered in the language of 3.1.1, higher ones in that of 5. */
function readVersion(body: PacketReader): ProtocolVersion {
  const name = body.text('protocol name')
  const level = body.byte('protocol level')
  // [MQTT-3.1.2-1] [MQTT-3.1.2-2]
  if (name === 'MQTT' && (level === 4 || level === 5)) return level
  const detail = `protocol ${JSON.stringify(name.slice(0, 16))} level ${level}`
  const details = { version: level >= 5 ? 5 : 4 }
  throw new WeirError('MQTT_VERSION_UNSUPPORTED', detail, { details })
}

function readConnect(body: PacketReader, version: ProtocolVersion): Connect {
  const flags = body.byte('connect flags')
  checkFlags(flags, version)
  const keepAliveSeconds = body.twoByteInteger('keep alive')
  const properties = new property.PropertyBlock()
  if (version === 5) properties.read(body, property.IN_CONNECT)
  const isCleanStart = (flags & FLAG_CLEAN_START) !== 0
  const connect: Connect = {
    version,
    clientId: body.text('client id'),
    isCleanStart,
    keepAliveSeconds,
    will: (flags & FLAG_WILL) === 0 ? undefined : readWill(body, flags, version),
    userName: (flags & FLAG_USER_NAME) === 0 ? undefined : body.text('user name'),
    password: (flags & FLAG_PASSWORD) === 0 ? undefined : body.binary('password'),
    sessionExpirySeconds: version === 4 && !isCleanStart ? NEVER_EXPIRES : 0,
    ...readConnectProperties(properties),
  }
  body.expectEnd()
  // [MQTT-3.1.3-7] [MQTT-3.1.3-8]; MQTT 5 assigns an id instead.
  if (version === 4 && connect.clientId === '' && !isCleanStart) {
    throw new WeirError('MQTT_CLIENT_ID_INVALID', 'no client id, but no clean session either')
  }
  return connect
}

function checkFlags(flags: number, version: ProtocolVersion): void {
  // [MQTT-3.1.2-3]
  if ((flags & FLAG_RESERVED) !== 0) throw malformed('the reserved connect flag is set')
  const willQos = (flags >> 3) & 3
  if ((flags & FLAG_WILL) === 0) {
    // [MQTT-3.1.2-13] [MQTT-3.1.2-15] (5: [MQTT-3.1.2-11] [MQTT-3.1.2-13])
    if (willQos !== 0) throw malformed('will QoS without a will')
    if ((flags & FLAG_WILL_RETAIN) !== 0) throw malformed('will retain without a will')
  }
  // [MQTT-3.1.2-14] (5: [MQTT-3.1.2-12])
  if (willQos === 3) throw malformed('will QoS 3')
  // [MQTT-3.1.2-22]; MQTT 5 allows a password alone.
  if (version === 4 && (flags & FLAG_PASSWORD) !== 0 && (flags & FLAG_USER_NAME) === 0) {
    throw malformed('a password without a user name')
  }
}

type ConnectProperties = Omit<
  Connect,
  | 'version'
  | 'clientId'
  | 'isCleanStart'
  | 'keepAliveSeconds'
  | 'will'
  | 'userName'
  | 'password'
  | 'sessionExpirySeconds'
> & { sessionExpirySeconds?: number }

function readConnectProperties(properties: property.PropertyBlock): ConnectProperties {
  const sessionExpirySeconds = properties.number(property.SESSION_EXPIRY_INTERVAL)
  const authenticationMethod = properties.text(property.AUTHENTICATION_METHOD)
  // Section 3.1.2.11.10.
  if (properties.has(property.AUTHENTICATION_DATA) && authenticationMethod === undefined) {
    throw protocolError('authentication data without a method')
  }
  return {
    ...(sessionExpirySeconds === undefined ? {} : { sessionExpirySeconds }),
    receiveMaximum: properties.number(property.RECEIVE_MAXIMUM) ?? 0xffff,
    maximumPacketSize: properties.number(property.MAXIMUM_PACKET_SIZE) ?? Infinity,
    topicAliasMaximum: properties.number(property.TOPIC_ALIAS_MAXIMUM) ?? 0,
    requestsResponseInformation: properties.number(property.REQUEST_RESPONSE_INFORMATION) === 1,
    requestsProblemInformation: properties.number(property.REQUEST_PROBLEM_INFORMATION) !== 0,
    authenticationMethod,
    authenticationData: properties.binary(property.AUTHENTICATION_DATA),
    userProperties: properties.userProperties(),
  }
}

function readWill(body: PacketReader, flags: number, version: ProtocolVersion): Will {
  const properties = new property.PropertyBlock()
  if (version === 5) properties.read(body, property.IN_WILL)
  const response = properties.place(property.RESPONSE_TOPIC)
  if (response) checkTopicName(body.bytes, response.start, response.end)
  const topic = body.text('will topic')
  checkTopicName(body.bytes, body.fieldStart, body.fieldEnd)
  return {
    topic,
    payload: body.binary('will payload'),
    qos: ((flags >> 3) & 3) as 0 | 1 | 2,
    isRetained: (flags & FLAG_WILL_RETAIN) !== 0,
    delaySeconds: properties.number(property.WILL_DELAY_INTERVAL) ?? 0,
    isPayloadText: properties.number(property.PAYLOAD_FORMAT_INDICATOR) === 1,
    messageExpirySeconds: properties.number(property.MESSAGE_EXPIRY_INTERVAL),
    contentType: properties.text(property.CONTENT_TYPE),
    responseTopic: properties.text(property.RESPONSE_TOPIC),
    correlationData: properties.binary(property.CORRELATION_DATA),
    userProperties: properties.userProperties(),
  }
}
