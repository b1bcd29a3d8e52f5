/** AUTH (MQTT 5, section 3.15): [byte reason code | properties]. */
import { WeirError } from '../errors/errors.ts'
import { protocolError } from './failure.ts'
import type { PacketReader } from './packet-reader.ts'
import * as property from './property.ts'
import type { UserProperty } from './property.ts'

export interface Auth {
  /** 0x18 continue, 0x19 authenticate again. */
  reasonCode: number
  authenticationMethod: string
  authenticationData: Uint8Array | undefined
  reasonString: string | undefined
  userProperties: UserProperty[]
}

/** MQTT 5, table 3-11: success (0x00) is the server's to say. */
const CLIENT_REASON_CODES = [0x18, 0x19]

/**
 * `methodOfConnect` is the Authentication Method of the connection's CONNECT.
 * Errors: MQTT_PACKET_MALFORMED, MQTT_PROTOCOL_ERROR, MQTT_AUTHENTICATION_METHOD_INVALID.
 */
export function parseAuth(body: PacketReader, methodOfConnect: string | undefined): Auth {
  const properties = new property.PropertyBlock()
  // Section 3.15.2.1: an empty body means 0x00, which no client may send.
  const reasonCode = body.remaining === 0 ? 0 : body.byte('reason code')
  // [MQTT-3.15.2-1]
  if (!CLIENT_REASON_CODES.includes(reasonCode)) {
    throw protocolError(`a client’s AUTH with reason code 0x${reasonCode.toString(16)}`)
  }
  properties.read(body, property.IN_AUTH)
  body.expectEnd()
  const authenticationMethod = properties.text(property.AUTHENTICATION_METHOD)
  // Section 3.15.2.2.2.
  if (authenticationMethod === undefined) throw protocolError('AUTH without a method')
  checkMethod(authenticationMethod, methodOfConnect)
  return {
    reasonCode,
    authenticationMethod,
    authenticationData: properties.binary(property.AUTHENTICATION_DATA),
    reasonString: properties.text(property.REASON_STRING),
    userProperties: properties.userProperties(),
  }
}

function checkMethod(method: string, methodOfConnect: string | undefined): void {
  // [MQTT-4.12.0-6]
  if (methodOfConnect === undefined) throw protocolError('AUTH, but CONNECT named no method')
  // [MQTT-4.12.1-1]
  if (method === methodOfConnect) return
  const detail = 'AUTH names another method than CONNECT'
  throw new WeirError('MQTT_AUTHENTICATION_METHOD_INVALID', detail)
}
