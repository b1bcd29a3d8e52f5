/**
 * MQTT 5's properties (section 2.2.2): a length, then identifier and value pairs. One table says
 * for each identifier its wire type and which of a client's packets may carry it.
 */
import { malformed, protocolError } from './failure.ts'
import { copyBytes } from './packet-reader.ts'
import type { PacketReader } from './packet-reader.ts'
import { decodeText } from './utf8.ts'

export const PAYLOAD_FORMAT_INDICATOR = 0x01
export const MESSAGE_EXPIRY_INTERVAL = 0x02
export const CONTENT_TYPE = 0x03
export const RESPONSE_TOPIC = 0x08
export const CORRELATION_DATA = 0x09
export const SUBSCRIPTION_IDENTIFIER = 0x0b
export const SESSION_EXPIRY_INTERVAL = 0x11
export const ASSIGNED_CLIENT_IDENTIFIER = 0x12
export const SERVER_KEEP_ALIVE = 0x13
export const AUTHENTICATION_METHOD = 0x15
export const AUTHENTICATION_DATA = 0x16
export const REQUEST_PROBLEM_INFORMATION = 0x17
export const WILL_DELAY_INTERVAL = 0x18
export const REQUEST_RESPONSE_INFORMATION = 0x19
export const RESPONSE_INFORMATION = 0x1a
export const SERVER_REFERENCE = 0x1c
export const REASON_STRING = 0x1f
export const RECEIVE_MAXIMUM = 0x21
export const TOPIC_ALIAS_MAXIMUM = 0x22
export const TOPIC_ALIAS = 0x23
export const MAXIMUM_QOS = 0x24
export const RETAIN_AVAILABLE = 0x25
export const USER_PROPERTY = 0x26
export const MAXIMUM_PACKET_SIZE = 0x27
export const WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28
export const SUBSCRIPTION_IDENTIFIERS_AVAILABLE = 0x29
export const SHARED_SUBSCRIPTION_AVAILABLE = 0x2a

/** Which packet (or will) a property block belongs to; only packets that a client sends. */
export const IN_CONNECT = 1
export const IN_WILL = 2
export const IN_PUBLISH = 4
export const IN_PUBACK = 8
export const IN_SUBSCRIBE = 16
export const IN_UNSUBSCRIBE = 32
export const IN_DISCONNECT = 64
export const IN_AUTH = 128
const IN_ANY = 255
/** A server's property: known, but never from a client. */
const IN_NONE = 0

export type PropertyKind =
  | 'switch'
  | 'byte'
  | 'two'
  | 'four'
  | 'variable'
  | 'text'
  | 'binary'
  | 'pair'

export interface PropertyRow {
  name: string
  kind: PropertyKind
  scopes: number
  /** Zero is a protocol error. */
  isPositive: boolean
}

const row = (name: string, kind: PropertyKind, scopes: number, isPositive = false): PropertyRow => {
  return { name, kind, scopes, isPositive }
}

const IN_MESSAGE = IN_PUBLISH | IN_WILL
const IN_AUTHENTICATION = IN_CONNECT | IN_AUTH

/** MQTT 5, table 2-4, seen from the server. If you add a row here, also add its constant above. */
export const PROPERTIES: readonly (PropertyRow | undefined)[] = Object.assign(
  Array.from({ length: 0x2b }, (): PropertyRow | undefined => undefined),
  {
    [PAYLOAD_FORMAT_INDICATOR]: row('payload format indicator', 'switch', IN_MESSAGE),
    [MESSAGE_EXPIRY_INTERVAL]: row('message expiry interval', 'four', IN_MESSAGE),
    [CONTENT_TYPE]: row('content type', 'text', IN_MESSAGE),
    [RESPONSE_TOPIC]: row('response topic', 'text', IN_MESSAGE),
    [CORRELATION_DATA]: row('correlation data', 'binary', IN_MESSAGE),
    // A client's PUBLISH with one is a protocol error of its own: see `read`.
    [SUBSCRIPTION_IDENTIFIER]: row('subscription identifier', 'variable', IN_SUBSCRIBE, true),
    [SESSION_EXPIRY_INTERVAL]: row('session expiry interval', 'four', IN_CONNECT | IN_DISCONNECT),
    [ASSIGNED_CLIENT_IDENTIFIER]: row('assigned client identifier', 'text', IN_NONE),
    [SERVER_KEEP_ALIVE]: row('server keep alive', 'two', IN_NONE),
    [AUTHENTICATION_METHOD]: row('authentication method', 'text', IN_AUTHENTICATION),
    [AUTHENTICATION_DATA]: row('authentication data', 'binary', IN_AUTHENTICATION),
    [REQUEST_PROBLEM_INFORMATION]: row('request problem information', 'switch', IN_CONNECT),
    [WILL_DELAY_INTERVAL]: row('will delay interval', 'four', IN_WILL),
    [REQUEST_RESPONSE_INFORMATION]: row('request response information', 'switch', IN_CONNECT),
    [RESPONSE_INFORMATION]: row('response information', 'text', IN_NONE),
    [SERVER_REFERENCE]: row('server reference', 'text', IN_NONE),
    [REASON_STRING]: row('reason string', 'text', IN_PUBACK | IN_DISCONNECT | IN_AUTH),
    [RECEIVE_MAXIMUM]: row('receive maximum', 'two', IN_CONNECT, true),
    [TOPIC_ALIAS_MAXIMUM]: row('topic alias maximum', 'two', IN_CONNECT),
    [TOPIC_ALIAS]: row('topic alias', 'two', IN_PUBLISH),
    [MAXIMUM_QOS]: row('maximum QoS', 'switch', IN_NONE),
    [RETAIN_AVAILABLE]: row('retain available', 'switch', IN_NONE),
    [USER_PROPERTY]: row('user property', 'pair', IN_ANY),
    [MAXIMUM_PACKET_SIZE]: row('maximum packet size', 'four', IN_CONNECT, true),
    [WILDCARD_SUBSCRIPTION_AVAILABLE]: row('wildcard subscription available', 'switch', IN_NONE),
    [SUBSCRIPTION_IDENTIFIERS_AVAILABLE]: row(
      'subscription identifiers available',
      'switch',
      IN_NONE,
    ),
    [SHARED_SUBSCRIPTION_AVAILABLE]: row('shared subscription available', 'switch', IN_NONE),
  },
)

/** A packet of more is refused: 20,000 of them in one CONNECT have been used to stall brokers. */
const USER_PROPERTIES_MAX = 64

export type UserProperty = [key: string, value: string]

/**
 * The properties of the packet read last: numbers by value, texts and bytes by place. Reused, so
 * that a PUBLISH with properties allocates nothing; what outlives the packet is copied out.
 */
export class PropertyBlock {
  readonly #isPresent = new Uint8Array(PROPERTIES.length)
  readonly #numbers = new Float64Array(PROPERTIES.length)
  readonly #starts = new Float64Array(PROPERTIES.length)
  readonly #ends = new Float64Array(PROPERTIES.length)
  /** Key start, key end, value start, value end of each user property. */
  readonly #pairs = new Float64Array(USER_PROPERTIES_MAX * 4)
  #bytes: Uint8Array = new Uint8Array(0)
  #isClean = true
  userPropertyCount = 0

  clear(): void {
    if (this.#isClean) return
    this.#isPresent.fill(0)
    this.userPropertyCount = 0
    this.#isClean = true
  }

  /**
   * Errors: MQTT_PACKET_MALFORMED (unknown, wrong packet, cut short), MQTT_PROTOCOL_ERROR (twice).
   */
  read(reader: PacketReader, scope: number): void {
    this.clear()
    const length = reader.variableByteInteger('property length')
    if (length === 0) return
    if (length > reader.remaining) throw malformed('the properties are cut short')
    this.#bytes = reader.bytes
    this.#isClean = false
    // The block's own end, so that no property reaches into what follows.
    const packetEnd = reader.end
    reader.end = reader.position + length
    while (reader.position < reader.end) this.#readOne(reader, scope)
    reader.end = packetEnd
  }

  #readOne(reader: PacketReader, scope: number): void {
    const id = reader.variableByteInteger('property identifier')
    const property = PROPERTIES[id]
    if (property === undefined) throw malformed(`unknown property 0x${id.toString(16)}`)
    if (id === SUBSCRIPTION_IDENTIFIER && scope === IN_PUBLISH) {
      throw protocolError('a client’s PUBLISH has a subscription identifier') // [MQTT-3.3.4-6]
    }
    if ((property.scopes & scope) === 0) throw malformed(`${property.name} in the wrong packet`)
    if (property.kind === 'pair') return this.#readPair(reader)
    if (this.#isPresent[id] === 1) throw protocolError(`${property.name} occurs twice`)
    this.#isPresent[id] = 1
    if (property.kind === 'text' || property.kind === 'binary') {
      if (property.kind === 'text') reader.locateText(property.name)
      else reader.locateBinary(property.name)
      this.#starts[id] = reader.fieldStart
      this.#ends[id] = reader.fieldEnd
      return
    }
    const value = readNumber(reader, property)
    if (property.kind === 'switch' && value > 1) {
      throw protocolError(`${property.name} is neither 0 nor 1`)
    }
    if (property.isPositive && value === 0) throw protocolError(`${property.name} is 0`)
    this.#numbers[id] = value
  }

  #readPair(reader: PacketReader): void {
    if (this.userPropertyCount === USER_PROPERTIES_MAX) {
      throw malformed(`more than ${USER_PROPERTIES_MAX} user properties`)
    }
    const at = this.userPropertyCount++ * 4
    reader.locateText('user property key')
    this.#pairs[at] = reader.fieldStart
    this.#pairs[at + 1] = reader.fieldEnd
    reader.locateText('user property value')
    this.#pairs[at + 2] = reader.fieldStart
    this.#pairs[at + 3] = reader.fieldEnd
  }

  has(id: number): boolean {
    return this.#isPresent[id] === 1
  }

  number(id: number): number | undefined {
    return this.has(id) ? this.#numbers[id] : undefined
  }

  text(id: number): string | undefined {
    return this.has(id) ? decodeText(this.#bytes, this.#starts[id]!, this.#ends[id]!) : undefined
  }

  /** A copy. */
  binary(id: number): Uint8Array | undefined {
    return this.has(id) ? copyBytes(this.#bytes, this.#starts[id]!, this.#ends[id]!) : undefined
  }

  /** `[start, end)` of a text or binary property in the packet's buffer. */
  place(id: number): { start: number; end: number } | undefined {
    return this.has(id) ? { start: this.#starts[id]!, end: this.#ends[id]! } : undefined
  }

  userProperties(): UserProperty[] {
    return Array.from({ length: this.userPropertyCount }, (_, index): UserProperty => {
      const at = index * 4
      return [
        decodeText(this.#bytes, this.#pairs[at]!, this.#pairs[at + 1]!),
        decodeText(this.#bytes, this.#pairs[at + 2]!, this.#pairs[at + 3]!),
      ]
    })
  }
}

function readNumber(reader: PacketReader, property: PropertyRow): number {
  if (property.kind === 'two') return reader.twoByteInteger(property.name)
  if (property.kind === 'four') return reader.fourByteInteger(property.name)
  if (property.kind === 'variable') return reader.variableByteInteger(property.name)
  return reader.byte(property.name)
}
