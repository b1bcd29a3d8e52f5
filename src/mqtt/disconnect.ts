/**
 * DISCONNECT (3.1.1 and 5, section 3.14): 3.1.1: nothing | 5: [byte reason code | [properties]].
 */
import { protocolError } from './failure.ts'
import { PACKET_DISCONNECT } from './fixed-header.ts'
import type { ProtocolVersion } from './fixed-header.ts'
import type { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'
import * as property from './property.ts'
import type { UserProperty } from './property.ts'
import { encodeWithReason } from './reason.ts'

export interface Disconnect {
  /** 0 normal, 4 publish the will all the same, ≥ 0x80 the client saw an error. */
  reasonCode: number
  reasonString: string | undefined
  /**
   * Replaces that of the CONNECT. A session that was to end with the connection cannot grow one.
   */
  sessionExpirySeconds: number | undefined
  userProperties: UserProperty[]
}

/** MQTT 5, table 3-10: the codes that a client may send. */
const CLIENT_REASON_CODES = [
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
]

/** Errors: MQTT_PACKET_MALFORMED, MQTT_PROTOCOL_ERROR. */
export function parseDisconnect(body: PacketReader, version: ProtocolVersion): Disconnect {
  const properties = new property.PropertyBlock()
  let reasonCode = 0
  // Section 3.14.2.1: without a reason code it is 0; below 2 bytes there are no properties.
  if (version === 5 && body.remaining > 0) {
    reasonCode = body.byte('reason code')
    // [MQTT-3.14.2-1]
    if (!CLIENT_REASON_CODES.includes(reasonCode)) {
      throw protocolError(`a client’s DISCONNECT with reason code 0x${reasonCode.toString(16)}`)
    }
    if (body.remaining > 0) properties.read(body, property.IN_DISCONNECT)
  }
  body.expectEnd()
  return {
    reasonCode,
    reasonString: properties.text(property.REASON_STRING),
    sessionExpirySeconds: properties.number(property.SESSION_EXPIRY_INTERVAL),
    userProperties: properties.userProperties(),
  }
}

export interface OutgoingDisconnect {
  reasonCode: number
  reasonString?: string | undefined
  /** Another server to use, with 0x9C and 0x9D. */
  serverReference?: string | undefined
  /** The client's Maximum Packet Size. [MQTT-3.14.2-3] */
  bytesMax?: number | undefined
}

/** MQTT 5 only: a 3.1.1 server has no DISCONNECT and just closes. */
export function encodeDisconnect(disconnect: OutgoingDisconnect): Uint8Array {
  return encodeWithReason(disconnect, (reasonString) => {
    const writer = new PacketWriter()
    writer.byte(disconnect.reasonCode)
    if (reasonString !== undefined || disconnect.serverReference !== undefined) {
      writer.properties((block) => {
        block.text(property.REASON_STRING, reasonString)
        block.text(property.SERVER_REFERENCE, disconnect.serverReference)
      })
    }
    return writer.finish(PACKET_DISCONNECT, 0)
  })
}
