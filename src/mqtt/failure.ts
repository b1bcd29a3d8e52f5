/** How a packet is refused. Parsers throw nothing but these. */
import { WeirError } from '../errors/errors.ts'

/** The bytes do not follow the wire format: 0x81 in MQTT 5, a closed connection in 3.1.1. */
export function malformed(detail: string): WeirError {
  return new WeirError('MQTT_PACKET_MALFORMED', detail)
}

/** Well formed, but not allowed here: 0x82 in MQTT 5, a closed connection in 3.1.1. */
export function protocolError(detail: string): WeirError {
  return new WeirError('MQTT_PROTOCOL_ERROR', detail)
}
