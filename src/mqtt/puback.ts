/** PUBACK (3.1.1 and 5, section 3.4): u16 packet id | 5: [byte reason code | [properties]]. */
import { protocolError } from './failure.ts'
import { PACKET_PUBACK } from './fixed-header.ts'
import type { ProtocolVersion } from './fixed-header.ts'
import type { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import { IN_PUBACK, PropertyBlock, REASON_STRING } from './property.ts'
import { encodeWithReason } from './reason.ts'

export interface Puback {
  packetId: number
  /** From 0x80 on the client refused the message: it is not sent again. 0 in 3.1.1. */
  reasonCode: number
  reasonString: string | undefined
}

const REASON_CODES = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]

/** Errors: MQTT_PACKET_MALFORMED, MQTT_PROTOCOL_ERROR. */
export function parsePuback(body: PacketReader, version: ProtocolVersion): Puback {
  const packetId = body.packetId()
  const puback: Puback = { packetId, reasonCode: 0, reasonString: undefined }
  if (version === 5 && body.remaining > 0) {
    puback.reasonCode = body.byte('reason code')
    // [MQTT-3.4.2-1]
    if (!REASON_CODES.includes(puback.reasonCode)) {
      throw protocolError(`PUBACK with reason code 0x${puback.reasonCode.toString(16)}`)
    }
    // Section 3.4.2.2.1: a remaining length below 4 means no properties.
    if (body.remaining > 0) {
      const properties = new PropertyBlock()
      properties.read(body, IN_PUBACK)
      puback.reasonString = properties.text(REASON_STRING)
    }
  }
  body.expectEnd()
  return puback
}

export interface OutgoingPuback {
  packetId: number
  /** One of MQTT 5's PUBACK codes; from 0x80 on client libraries drop the message for good. */
  reasonCode?: number | undefined
  reasonString?: string | undefined
  /** The client's Maximum Packet Size: the reason string gives way first. [MQTT-3.4.2-2] */
  bytesMax?: number | undefined
}

/** In 3.1.1 there is only success: the reason is left out. */
export function encodePuback(puback: OutgoingPuback, version: ProtocolVersion): Uint8Array {
  const reasonCode = puback.reasonCode ?? 0
  const start = (): PacketWriter => {
    const writer = new PacketWriter()
    writer.packetId(puback.packetId)
    return writer
  }
  if (version === 4 || (reasonCode === 0 && puback.reasonString === undefined)) {
    return start().finish(PACKET_PUBACK, 0)
  }
  return encodeWithReason(puback, (reasonString) => {
    const writer = start()
    writer.byte(reasonCode)
    if (reasonString !== undefined) {
      writer.properties((block) => block.text(REASON_STRING, reasonString))
    }
    return writer.finish(PACKET_PUBACK, 0)
  })
}
