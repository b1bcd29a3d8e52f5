/**
 * UNSUBSCRIBE and UNSUBACK (3.1.1 and 5, sections 3.10 and 3.11):
 *
 *   u16 packet id | 5: properties | at least one text topic filter
 *   u16 packet id | 5: properties, byte reason code for each filter
 */
import { protocolError } from './failure.ts'
import { PACKET_UNSUBACK } from './fixed-header.ts'
import type { ProtocolVersion } from './fixed-header.ts'
import type { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import { IN_UNSUBSCRIBE, PropertyBlock, REASON_STRING } from './property.ts'
import type { UserProperty } from './property.ts'
import { encodeWithReason } from './reason.ts'
import { checkFilterCount, checkTopicFilter } from './topic.ts'

export interface Unsubscribe {
  packetId: number
  userProperties: UserProperty[]
  /** As the client wrote them: compared character by character. [MQTT-3.10.4-1] */
  filters: string[]
}

/**
 * Errors: MQTT_PACKET_MALFORMED, MQTT_PROTOCOL_ERROR, MQTT_TOPIC_INVALID,
 * MQTT_SUBSCRIPTIONS_EXCEEDED.
 */
export function parseUnsubscribe(body: PacketReader, version: ProtocolVersion): Unsubscribe {
  const packetId = body.packetId()
  const properties = new PropertyBlock()
  if (version === 5) properties.read(body, IN_UNSUBSCRIBE)
  const filters: string[] = []
  while (body.remaining > 0) {
    checkFilterCount(filters.length)
    const filter = body.text('topic filter')
    checkTopicFilter(filter)
    filters.push(filter)
  }
  // [MQTT-3.10.3-2]
  if (filters.length === 0) throw protocolError('UNSUBSCRIBE without a topic filter')
  return { packetId, userProperties: properties.userProperties(), filters }
}

export interface OutgoingUnsuback {
  packetId: number
  /** One for each filter, in its order: 0x00, 0x11 (no such subscription) or ≥ 0x80. */
  reasonCodes: readonly number[]
  reasonString?: string | undefined
  /** The client's Maximum Packet Size. [MQTT-3.11.2-1] */
  bytesMax?: number | undefined
}

/** In 3.1.1 it carries nothing but the packet id. */
export function encodeUnsuback(unsuback: OutgoingUnsuback, version: ProtocolVersion): Uint8Array {
  return encodeWithReason(unsuback, (reasonString) => {
    const writer = new PacketWriter()
    writer.packetId(unsuback.packetId)
    if (version === 5) {
      writer.properties((block) => block.text(REASON_STRING, reasonString))
      for (const code of unsuback.reasonCodes) writer.byte(code)
    }
    return writer.finish(PACKET_UNSUBACK, 0)
  })
}
