/**
 * The few MQTT 3.1.1 packets that a publishing device sends and receives. A client's codec, kept
 * apart from the gateway's on purpose: two programs by one decoder would share its mistakes.
 */
const encoder = new TextEncoder()

/** A server's packet larger than this is not meant for a device that only publishes. */
const PACKET_BYTES_MAX = 65_536

/** Remaining length: 7 bits a byte, least significant first [MQTT-2.2.3]. */
function encodeLength(length: number): number[] {
  const bytes: number[] = []
  let rest = length
  do {
    const low = rest % 128
    rest = Math.floor(rest / 128)
    bytes.push(rest > 0 ? low | 0x80 : low)
  } while (rest > 0)
  return bytes
}

function packet(header: number, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const head = [header, ...encodeLength(length)]
  const bytes = new Uint8Array(head.length + length)
  bytes.set(head)
  let at = head.length
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** A UTF-8 string with its length in front [MQTT-1.5.3]. */
function text(value: string): Uint8Array {
  const bytes = encoder.encode(value)
  const framed = new Uint8Array(bytes.length + 2)
  framed[0] = bytes.length >> 8
  framed[1] = bytes.length & 0xff
  framed.set(bytes, 2)
  return framed
}

export interface ConnectFields {
  clientId: string
  username: string
  password: string
  keepAliveS: number
}

/** CONNECT with user name and password, and the session kept (clean session 0) [MQTT-3.1]. */
export function encodeConnect(fields: ConnectFields): Uint8Array<ArrayBuffer> {
  const { clientId, username, password, keepAliveS } = fields
  const tail = Uint8Array.of(4, 0b1100_0000, keepAliveS >> 8, keepAliveS & 0xff)
  return packet(0x10, text('MQTT'), tail, text(clientId), text(username), text(password))
}

export interface PublishFields {
  topic: string
  payload: Uint8Array
  /** 1 to 65535 [MQTT-2.3.1-1]. */
  packetId: number
  isRepeat: boolean
}

/** PUBLISH at QoS 1 [MQTT-3.3]; a repeat carries the DUP flag [MQTT-3.3.1-1]. */
export function encodePublish(fields: PublishFields): Uint8Array<ArrayBuffer> {
  const { topic, payload, packetId, isRepeat } = fields
  const id = Uint8Array.of(packetId >> 8, packetId & 0xff)
  return packet(isRepeat ? 0x3a : 0x32, text(topic), id, payload)
}

export const PINGREQ = Uint8Array.of(0xc0, 0)
export const DISCONNECT = Uint8Array.of(0xe0, 0)

export type ServerPacket =
  | { kind: 'connack'; returnCode: number }
  | { kind: 'puback'; packetId: number }
  | { kind: 'pingresp' }
  | { kind: 'other' }

function interpret(header: number, body: Uint8Array): ServerPacket {
  const [first = 0, second = 0] = body
  if (header === 0x20 && body.length === 2) return { kind: 'connack', returnCode: second }
  if (header === 0x40 && body.length === 2)
    return { kind: 'puback', packetId: (first << 8) | second }
  if (header === 0xd0) return { kind: 'pingresp' }
  return { kind: 'other' }
}

/** Cuts a server's byte stream into packets; bytes may arrive in pieces of any size. */
export class ServerPacketReader {
  #rest: Uint8Array = new Uint8Array(0)

  /**
   * Throws RangeError when the bytes cannot be MQTT for this client; the connection is then lost.
   */
  push(bytes: Uint8Array): ServerPacket[] {
    let data = bytes
    if (this.#rest.length > 0) {
      data = new Uint8Array(this.#rest.length + bytes.length)
      data.set(this.#rest)
      data.set(bytes, this.#rest.length)
    }
    const packets: ServerPacket[] = []
    let at = 0
    for (;;) {
      const frame = frameAt(data, at)
      if (frame === undefined) break
      packets.push(interpret(data[at] ?? 0, data.subarray(frame.body, frame.end)))
      at = frame.end
    }
    this.#rest = data.slice(at)
    return packets
  }
}

/**
 * Where the packet that starts at `at` has its body and its end; undefined when it is incomplete.
 */
function frameAt(data: Uint8Array, at: number): { body: number; end: number } | undefined {
  let length = 0
  for (let i = 0; i < 4; i++) {
    const byte = data[at + 1 + i]
    if (byte === undefined) return undefined
    length += (byte & 0x7f) * 128 ** i
    if (byte >= 0x80) continue
    if (length > PACKET_BYTES_MAX) throw new RangeError(`a packet of ${length} B from the server`)
    const body = at + 2 + i
    return body + length <= data.length ? { body, end: body + length } : undefined
  }
  throw new RangeError('a remaining length of more than 4 bytes')
}
