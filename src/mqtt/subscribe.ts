/**
 * SUBSCRIBE and SUBACK (3.1.1 and 5, sections 3.8 and 3.9):
 *
 *   u16 packet id | 5: properties | at least one of: text topic filter, byte options
 *   options: 5: reserved 2 bits | retain handling 2 | retain as published 1 | no local 1 | QoS 2
 */
import { malformed, protocolError } from './failure.ts'
import { PACKET_SUBACK } from './fixed-header.ts'
import type { ProtocolVersion } from './fixed-header.ts'
import type { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import * as property from './property.ts'
import type { UserProperty } from './property.ts'
import { encodeWithReason } from './reason.ts'
import { checkFilterCount, checkTopicFilter, splitShared } from './topic.ts'

export interface Subscription {
  /** As the client wrote it. */
  filter: string
  /** The filter that topics are matched with: without `$share/{name}/` in MQTT 5. */
  topicFilter: string
  /** MQTT 5's shared subscription; '' when it has no name. Undefined: not shared. */
  shareName: string | undefined
  /** False: a `$share` filter without a proper name or inner filter; SUBACK says 0x8F. */
  isValid: boolean
  qos: 0 | 1 | 2
  isNoLocal: boolean
  isRetainAsPublished: boolean
  /** 0 send retained messages, 1 only for a new subscription, 2 never. */
  retainHandling: 0 | 1 | 2
}

export interface Subscribe {
  packetId: number
  subscriptionIdentifier: number | undefined
  userProperties: UserProperty[]
  subscriptions: Subscription[]
}

/**
 * Errors: MQTT_PACKET_MALFORMED, MQTT_PROTOCOL_ERROR, MQTT_TOPIC_INVALID,
 * MQTT_SUBSCRIPTIONS_EXCEEDED.
 */
export function parseSubscribe(body: PacketReader, version: ProtocolVersion): Subscribe {
  const packetId = body.packetId()
  const properties = new property.PropertyBlock()
  if (version === 5) properties.read(body, property.IN_SUBSCRIBE)
  const subscriptions: Subscription[] = []
  while (body.remaining > 0) {
    checkFilterCount(subscriptions.length)
    subscriptions.push(readSubscription(body, version))
  }
  // [MQTT-3.8.3-3] (5: [MQTT-3.8.3-2])
  if (subscriptions.length === 0) throw protocolError('SUBSCRIBE without a topic filter')
  return {
    packetId,
    subscriptionIdentifier: properties.number(property.SUBSCRIPTION_IDENTIFIER),
    userProperties: properties.userProperties(),
    subscriptions,
  }
}

function readSubscription(body: PacketReader, version: ProtocolVersion): Subscription {
  const filter = body.text('topic filter')
  checkTopicFilter(filter)
  const options = body.byte('subscription options')
  const qos = options & 0x03
  const retainHandling = (options >> 4) & 0x03
  const isNoLocal = (options & 0x04) !== 0
  // [MQTT-3-8.3-4] (5: [MQTT-3.8.3-5])
  if ((options & (version === 4 ? 0xfc : 0xc0)) !== 0) {
    throw malformed('reserved subscription options are set')
  }
  if (qos === 3) throw version === 4 ? malformed('QoS 3') : protocolError('QoS 3')
  if (retainHandling === 3) throw protocolError('retain handling 3')
  const shared = version === 5 ? splitShared(filter) : undefined
  // [MQTT-3.8.3-4]
  if (shared && isNoLocal) throw protocolError('no local on a shared subscription')
  return {
    filter,
    topicFilter: shared?.topicFilter ?? filter,
    shareName: shared?.shareName,
    isValid: shared?.isValid ?? true,
    qos: qos as 0 | 1 | 2,
    isNoLocal,
    isRetainAsPublished: (options & 0x08) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  }
}

export interface OutgoingSuback {
  packetId: number
  /** One for each filter, in its order: granted QoS 0 to 2, or a refusal ≥ 0x80. [MQTT-3.8.4-6] */
  reasonCodes: readonly number[]
  reasonString?: string | undefined
  /** The client's Maximum Packet Size. [MQTT-3.9.2-1] */
  bytesMax?: number | undefined
}

/** In 3.1.1 every refusal is 0x80. [MQTT-3.9.3-2] */
export function encodeSuback(suback: OutgoingSuback, version: ProtocolVersion): Uint8Array {
  return encodeWithReason(suback, (reasonString) => {
    const writer = new PacketWriter()
    writer.packetId(suback.packetId)
    if (version === 5) {
      writer.properties((block) => block.text(property.REASON_STRING, reasonString))
    }
    for (const code of suback.reasonCodes) {
      writer.byte(version === 4 && code >= 0x80 ? 0x80 : code)
    }
    return writer.finish(PACKET_SUBACK, 0)
  })
}
