/** PINGREQ and PINGRESP (sections 3.12 and 3.13): a fixed header and nothing else. */
import type { PacketReader } from './packet-reader.ts'

/** Throws MQTT_PACKET_MALFORMED when anything follows the header. */
export function parsePingreq(body: PacketReader): void {
  body.expectEnd()
}

/** A fresh copy, so that no writer can spoil it for the next client. */
export function encodePingresp(): Uint8Array {
  return Uint8Array.of(0xd0, 0)
}
