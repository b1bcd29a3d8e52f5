/**
 * CONNACK (3.1.1 and 5, section 3.2): what the server grants. It must state the truth: a client
 * that respects it is never disconnected for a limit.
 *
 *   byte session present | byte return code (5: reason code) | 5: properties
 */
import { ERRORS } from '../errors/errors.ts'
import type { WeirError } from '../errors/errors.ts'
import { PACKET_CONNACK } from './fixed-header.ts'
import type { ProtocolVersion } from './fixed-header.ts'
import { PacketWriter } from './packet-writer.ts'
import type { PropertyWriter } from './packet-writer.ts'
import * as property from './property.ts'
import type { UserProperty } from './property.ts'

export interface Connack {
  isSessionPresent: boolean
  /** Undefined where the protocol's default is meant. Only MQTT 5 carries what follows. */
  sessionExpirySeconds?: number | undefined
  receiveMaximum?: number | undefined
  /** 0 or 1 (2 is the protocol's default and must not be sent). */
  maximumQos?: 0 | 1 | undefined
  isRetainAvailable?: boolean | undefined
  /** Bytes. */
  maximumPacketSize?: number | undefined
  assignedClientId?: string | undefined
  topicAliasMaximum?: number | undefined
  isWildcardSubscriptionAvailable?: boolean | undefined
  areSubscriptionIdentifiersAvailable?: boolean | undefined
  isSharedSubscriptionAvailable?: boolean | undefined
  serverKeepAliveSeconds?: number | undefined
  responseInformation?: string | undefined
  authenticationMethod?: string | undefined
  authenticationData?: Uint8Array | undefined
  userProperties?: readonly UserProperty[] | undefined
}

/** An accepted CONNECT. */
export function encodeConnack(connack: Connack, version: ProtocolVersion): Uint8Array {
  const writer = new PacketWriter()
  writer.byte(connack.isSessionPresent ? 1 : 0)
  writer.byte(0)
  if (version === 5) writer.properties((block) => writeProperties(block, connack))
  return writer.finish(PACKET_CONNACK, 0)
}

const bit = (value: boolean | undefined): number | undefined =>
  value === undefined ? undefined : Number(value)

function writeProperties(block: PropertyWriter, connack: Connack): void {
  block.number(property.SESSION_EXPIRY_INTERVAL, connack.sessionExpirySeconds)
  block.number(property.RECEIVE_MAXIMUM, connack.receiveMaximum)
  block.number(property.MAXIMUM_QOS, connack.maximumQos)
  block.number(property.RETAIN_AVAILABLE, bit(connack.isRetainAvailable))
  block.number(property.MAXIMUM_PACKET_SIZE, connack.maximumPacketSize)
  block.text(property.ASSIGNED_CLIENT_IDENTIFIER, connack.assignedClientId)
  block.number(property.TOPIC_ALIAS_MAXIMUM, connack.topicAliasMaximum)
  block.pairs(connack.userProperties)
  block.number(
    property.WILDCARD_SUBSCRIPTION_AVAILABLE,
    bit(connack.isWildcardSubscriptionAvailable),
  )
  block.number(
    property.SUBSCRIPTION_IDENTIFIERS_AVAILABLE,
    bit(connack.areSubscriptionIdentifiersAvailable),
  )
  block.number(property.SHARED_SUBSCRIPTION_AVAILABLE, bit(connack.isSharedSubscriptionAvailable))
  block.number(property.SERVER_KEEP_ALIVE, connack.serverKeepAliveSeconds)
  block.text(property.RESPONSE_INFORMATION, connack.responseInformation)
  block.text(property.AUTHENTICATION_METHOD, connack.authenticationMethod)
  block.binary(property.AUTHENTICATION_DATA, connack.authenticationData)
}

/** 3.1.1's five refusals (table 3.1), by MQTT 5's reason code. All else just closes. */
const RETURN_CODES: Readonly<Record<number, number>> = {
  0x84: 1,
  0x85: 2,
  0x86: 4,
  0x87: 5,
  0x88: 3,
  0x89: 3,
  0x8b: 3,
  0x97: 3,
  0x9f: 3,
}

/**
 * What to send before closing when a CONNECT is refused, or undefined when 3.1.1 has no word for it
 * (or the packet never told its version). The version is `error.details.version` when given there.
 * A refusal never carries a session. [MQTT-3.2.2-4] (5: [MQTT-3.2.2-6])
 */
export function encodeConnackRefusal(
  error: WeirError,
  version: ProtocolVersion | undefined = knownVersion(error),
): Uint8Array | undefined {
  if (version === undefined) return undefined
  const reasonCode = ERRORS[error.code].mqtt
  const code = version === 5 ? reasonCode : RETURN_CODES[reasonCode]
  if (code === undefined) return undefined
  const writer = new PacketWriter()
  writer.byte(0)
  writer.byte(code)
  if (version === 5) {
    writer.properties((block) => block.text(property.REASON_STRING, error.message))
  }
  return writer.finish(PACKET_CONNACK, 0)
}

function knownVersion(error: WeirError): ProtocolVersion | undefined {
  const { version } = error.details
  return version === 4 || version === 5 ? version : undefined
}
