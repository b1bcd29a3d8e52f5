/**
 * PUBLISH (3.1.1 and 5, section 3.3):
 *
 *   flags DUP 8 | QoS 6 | RETAIN 1
 *   text topic name | QoS > 0: u16 packet id | 5: properties | payload to the end
 */
import { WeirError } from '../errors/errors.ts'
import { malformed, protocolError } from './failure.ts'
import { PACKET_PUBLISH } from './fixed-header.ts'
import type { ProtocolVersion } from './fixed-header.ts'
import type { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import * as property from './property.ts'
import type { UserProperty } from './property.ts'
import { checkTopicName } from './topic.ts'

const FLAG_RETAIN = 0x01
const FLAG_DUP = 0x08

/** A client's PUBLISH as places in its buffer. Reused: valid until the next `read`. */
export class PublishView {
  qos = 0
  isDuplicate = false
  isRetained = false
  /** 0 with QoS 0. */
  packetId = 0
  /** Empty (start = end) only together with a topic alias. */
  topicStart = 0
  topicEnd = 0
  /** 0: none. */
  topicAlias = 0
  payloadStart = 0
  payloadEnd = 0
  /** Empty in 3.1.1. */
  readonly properties = new property.PropertyBlock()

  /**
   * Errors: MQTT_PACKET_MALFORMED, MQTT_PROTOCOL_ERROR, MQTT_TOPIC_INVALID,
   * MQTT_TOPIC_ALIAS_INVALID. Whether the alias is known and within what the CONNACK offered is
   * the session's to judge: `checkTopicAlias`.
   */
  read(body: PacketReader, flags: number, version: ProtocolVersion): void {
    this.qos = (flags >> 1) & 3
    this.isDuplicate = (flags & FLAG_DUP) !== 0
    this.isRetained = (flags & FLAG_RETAIN) !== 0
    if (this.qos === 3) throw malformed('QoS 3') // [MQTT-3.3.1-4]
    // [MQTT-3.3.1-2]
    if (this.isDuplicate && this.qos === 0) throw malformed('DUP with QoS 0')
    body.locateText('topic name')
    this.topicStart = body.fieldStart
    this.topicEnd = body.fieldEnd
    this.packetId = this.qos === 0 ? 0 : body.packetId()
    this.topicAlias = 0
    this.properties.clear()
    if (version === 5) this.#readProperties(body)
    if (this.topicStart < this.topicEnd) {
      checkTopicName(body.bytes, this.topicStart, this.topicEnd)
    } else if (version === 4) {
      throw malformed('the topic name is empty') // [MQTT-4.7.3-1]
    } else if (this.topicAlias === 0) {
      throw protocolError('neither topic name nor topic alias') // Section 3.3.2.1.
    }
    this.payloadStart = body.position
    this.payloadEnd = body.end
    body.position = body.end
  }

  #readProperties(body: PacketReader): void {
    this.properties.read(body, property.IN_PUBLISH)
    const alias = this.properties.number(property.TOPIC_ALIAS)
    // [MQTT-3.3.2-8]
    if (alias === 0) throw new WeirError('MQTT_TOPIC_ALIAS_INVALID', 'topic alias 0')
    this.topicAlias = alias ?? 0
    const response = this.properties.place(property.RESPONSE_TOPIC)
    // [MQTT-3.3.2-14]
    if (response) checkTopicName(body.bytes, response.start, response.end)
  }
}

/** Throws when the alias exceeds the Topic Alias Maximum of the CONNACK. [MQTT-3.3.2-9] */
export function checkTopicAlias(publish: PublishView, maximum: number): void {
  if (publish.topicAlias <= maximum) return
  const detail = `topic alias ${publish.topicAlias} exceeds ${maximum}`
  throw new WeirError('MQTT_TOPIC_ALIAS_INVALID', detail)
}

/** A message to a client. What only MQTT 5 can say is left out for 3.1.1. */
export interface OutgoingPublish {
  topic: string
  payload: Uint8Array
  qos: 0 | 1
  /** Required with QoS 1. */
  packetId?: number | undefined
  isDuplicate?: boolean | undefined
  isRetained?: boolean | undefined
  isPayloadText?: boolean | undefined
  messageExpirySeconds?: number | undefined
  contentType?: string | undefined
  responseTopic?: string | undefined
  correlationData?: Uint8Array | undefined
  subscriptionIdentifiers?: readonly number[] | undefined
  userProperties?: readonly UserProperty[] | undefined
}

export function encodePublish(message: OutgoingPublish, version: ProtocolVersion): Uint8Array {
  const writer = new PacketWriter()
  writer.text(message.topic)
  if (message.qos > 0) writer.packetId(message.packetId ?? 0)
  if (version === 5) {
    writer.properties((block) => {
      if (message.isPayloadText) block.number(property.PAYLOAD_FORMAT_INDICATOR, 1)
      block.number(property.MESSAGE_EXPIRY_INTERVAL, message.messageExpirySeconds)
      block.text(property.CONTENT_TYPE, message.contentType)
      block.text(property.RESPONSE_TOPIC, message.responseTopic)
      block.binary(property.CORRELATION_DATA, message.correlationData)
      for (const identifier of message.subscriptionIdentifiers ?? []) {
        block.number(property.SUBSCRIPTION_IDENTIFIER, identifier)
      }
      block.pairs(message.userProperties)
    })
  }
  writer.bytes(message.payload)
  const dup = message.isDuplicate && message.qos > 0 ? FLAG_DUP : 0
  return writer.finish(
    PACKET_PUBLISH,
    dup | (message.qos << 1) | (message.isRetained ? FLAG_RETAIN : 0),
  )
}
