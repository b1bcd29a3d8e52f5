/**
 * MQTT 3.1.1 (OASIS, 2014) and 5.0 (OASIS, 2019) from the server's side: pure functions between
 * bytes and packets. Sockets, sessions and limits are the gateway's.
 *
 * The way of a packet: `readFixedHeader` says type and length without allocation, so that size
 * limits hold before a body is buffered; `checkClientHeader` says whether a client may send that
 * now; then the type's parser reads the body through a `PacketReader` over exactly
 * [header end, header end + remaining length).
 *
 * M1 No parser reads outside the bounds it was given.
 * M2 Parsers throw WeirError and nothing else, whatever the bytes are; the code maps to MQTT 5's
 *    reason code by the catalogue.
 * M3 A packet that is accepted is valid: reserved bits, UTF-8, properties, packet ids, topics and
 *    the absence of excess bytes were checked.
 * M4 Work and memory are linear in the packet's length; what is kept of a packet is a copy.
 * M5 What is encoded is valid and says what it was asked to say, or less of the reason string when
 *    the client's Maximum Packet Size asks for that.
 *
 * Left out on purpose: QoS 2 (Maximum QoS 1 is announced), MQTT 3.1, whatever only a client needs.
 */
export {
  HEADER_COMPLETE,
  HEADER_INCOMPLETE,
  HEADER_MALFORMED,
  PACKET_AUTH,
  PACKET_CONNECT,
  PACKET_DISCONNECT,
  PACKET_PINGREQ,
  PACKET_PUBACK,
  PACKET_PUBLISH,
  PACKET_SUBSCRIBE,
  PACKET_UNSUBSCRIBE,
  checkClientHeader,
  createFixedHeader,
  readFixedHeader,
} from './fixed-header.ts'
export type { FixedHeader, ProtocolVersion } from './fixed-header.ts'
export { PacketReader } from './packet-reader.ts'
export { parseAuth } from './auth.ts'
export type { Auth } from './auth.ts'
export { parseConnect } from './connect.ts'
export type { Connect, Will } from './connect.ts'
export { encodeConnack, encodeConnackRefusal } from './connack.ts'
export { encodeDisconnect, parseDisconnect } from './disconnect.ts'
export type { Disconnect } from './disconnect.ts'
export { encodePingresp, parsePingreq } from './ping.ts'
export { encodePuback, parsePuback } from './puback.ts'
export type { Puback } from './puback.ts'
export { PublishView, checkTopicAlias, encodePublish } from './publish.ts'
export { encodeSuback, parseSubscribe } from './subscribe.ts'
export type { Subscribe, Subscription } from './subscribe.ts'
export { encodeUnsuback, parseUnsubscribe } from './unsubscribe.ts'
export type { Unsubscribe } from './unsubscribe.ts'
