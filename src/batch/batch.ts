/**
 * A batch: what one group commit makes durable. It is columnar from the decoder to the store; no
 * object exists per message or reading. The same bytes are the log's entry, the stream's input
 * and the store's input.
 *
 * Frame, little endian, every section aligned to 8 bytes:
 *
 *   header 64 B   magic u32 'WRB1' | messages u32 | readings u32 | definitions B u32
 *                 dead letters B u32 | flags u32 | base ingest time f64 µs | sequence f64 | zeroes
 *   f64[messages] event time, µs since 1970
 *   f64[readings] value (booleans 0 or 1; texts as dictionary ids)
 *   u32[messages] ingest time, µs after the base
 *   u32[messages] device number
 *   u32[readings] series number
 *   u32[messages] × 2 message identity hash (only with FRAME_HAS_IDENTITIES; 0,0 means none)
 *   u16[messages] readings in the message
 *   u8 [messages] flags (MESSAGE_*)
 *   definitions   JSON, UTF-8: Definitions
 *   dead letters  JSON, UTF-8: DeadLetter[]
 *
 * A frame without messages is a tick: it carries the gateway's clock to rules and watermarks.
 */
const FRAME_MAGIC = 0x31425257
const FRAME_HEADER_BYTES = 64
const FRAME_HAS_IDENTITIES = 1

/** Historical: any past is believed; no watermark, window, rule or detector sees it. */
export const MESSAGE_HISTORICAL = 1
/** The device's clock was not believed; the event time is the ingest time. */
export const MESSAGE_CLOCK_SKEWED = 2
/** The message came without a time; the event time is the ingest time. */
export const MESSAGE_WITHOUT_TIME = 4

export type ValueKind = 'number' | 'boolean' | 'text'

/**
 * The first use of a series in the log. `dimensions` is canonical: sorted `[name, value]` pairs.
 */
export interface SeriesDefinition {
  series: number
  device: number
  tenant: string
  deviceId: string
  deviceType: string
  metric: string
  dimensions: [string, string][]
  kind: ValueKind
}

/** What a series is called where no number is known. */
export interface SeriesName {
  tenant: string
  deviceId: string
  deviceType: string
  metric: string
  /** `[name, value]`, sorted by name. */
  dimensions: readonly (readonly [string, string])[]
  kind: ValueKind
}

export interface Definitions {
  series: SeriesDefinition[]
  /** Text dictionary: `[id, text]`. */
  texts: [number, string][]
  /** Devices whose registry entry says more than a type, when first seen and when it changed. */
  devices?: DeviceFacts[]
  /** Rules that change at this place of the log: a replay changes them at the same place. */
  rules?: RuleChange[]
}

/** What rules may ask of a device. */
export interface DeviceFacts {
  device: number
  tenant: string
  deviceId: string
  deviceType: string
  location: string | undefined
  tags: Record<string, string>
  /** The gateway that may publish for it. */
  parent: string | undefined
}

export interface RuleName {
  id: string
  /** Ascends with every change of the rule, also over its removal. */
  version: number
}

/**
 * `put` is a compiled rule (`Rule` of the pipeline). A version not above the one that is known of
 * an id, removed or not, changes nothing. `retain` removes all rules but these (and those of the
 * pipeline definition): it ends a full list.
 */
export type RuleChange = { put: RuleName } | { remove: RuleName } | { retain: RuleName[] }

export interface DeadLetter {
  tenant: string
  /** Empty when the message named no device. */
  deviceId: string
  receivedAtUs: number
  code: string
  detail: string
  /** UTF-8 text; bytes that are not UTF-8 are replaced. Cut at 64 KB. */
  payload: string
}

/** Dead letters that are kept of one device; beyond it the newest win. */
export const DEAD_LETTERS_PER_DEVICE_MAX = 1000

/** What a frame holds. Columns are read in place; the JSON parts only by whom they concern. */
export interface ReadingBatch {
  messageCount: number
  readingCount: number
  baseIngestTimeUs: number
  eventTimeUs: Float64Array
  ingestDeltaUs: Uint32Array
  device: Uint32Array
  /** Present only when at least one message has an identity. */
  identityHigh: Uint32Array | undefined
  identityLow: Uint32Array | undefined
  readingsInMessage: Uint16Array
  flags: Uint8Array
  value: Float64Array
  series: Uint32Array
  definitions: Definitions | undefined
  deadLetters: DeadLetter[] | undefined
}

/** Not by bits, which end at 2 GiB: lengths come from the frame's own header. */
const align8 = (bytes: number): number => Math.ceil(bytes / 8) * 8

/** Byte positions of a frame's sections. */
function layout(messages: number, readings: number, hasIdentities: boolean) {
  const event = FRAME_HEADER_BYTES
  const value = event + messages * 8
  const ingest = value + readings * 8
  const device = align8(ingest + messages * 4)
  const series = align8(device + messages * 4)
  const identity = align8(series + readings * 4)
  const counts = align8(identity + (hasIdentities ? messages * 8 : 0))
  const flags = align8(counts + messages * 2)
  const definitions = align8(flags + messages)
  return { event, value, ingest, device, series, identity, counts, flags, definitions }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const jsonBytes = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value))
const NOTHING = new Uint8Array(0)

/**
 * Copies a batch into one frame. `allocate(bytes)` returns a buffer of at least that length whose
 * reuse is the caller's business; the returned view has exactly the frame's length.
 */
export function encodeFrame(
  batch: ReadingBatch,
  allocate: (bytes: number) => ArrayBuffer = (bytes) => new ArrayBuffer(bytes),
): Uint8Array<ArrayBuffer> {
  const { messageCount: m, readingCount: r } = batch
  const { identityHigh, identityLow } = batch
  const hasIdentities = identityHigh !== undefined && identityLow !== undefined
  const at = layout(m, r, hasIdentities)
  const definitions = batch.definitions ? jsonBytes(batch.definitions) : NOTHING
  const deadLetters = batch.deadLetters?.length ? jsonBytes(batch.deadLetters) : NOTHING
  const deadLettersAt = align8(at.definitions + definitions.length)
  const length = align8(deadLettersAt + deadLetters.length)
  const buffer = allocate(length)
  const header = new DataView(buffer, 0, FRAME_HEADER_BYTES)
  header.setUint32(0, FRAME_MAGIC, true)
  header.setUint32(4, m, true)
  header.setUint32(8, r, true)
  header.setUint32(12, definitions.length, true)
  header.setUint32(16, deadLetters.length, true)
  header.setUint32(20, hasIdentities ? FRAME_HAS_IDENTITIES : 0, true)
  header.setFloat64(24, batch.baseIngestTimeUs, true)
  new Float64Array(buffer, 32, 4).fill(0)
  new Float64Array(buffer, at.event, m).set(batch.eventTimeUs.subarray(0, m))
  new Float64Array(buffer, at.value, r).set(batch.value.subarray(0, r))
  new Uint32Array(buffer, at.ingest, m).set(batch.ingestDeltaUs.subarray(0, m))
  new Uint32Array(buffer, at.device, m).set(batch.device.subarray(0, m))
  new Uint32Array(buffer, at.series, r).set(batch.series.subarray(0, r))
  if (hasIdentities) {
    new Uint32Array(buffer, at.identity, m).set(identityHigh.subarray(0, m))
    new Uint32Array(buffer, at.identity + m * 4, m).set(identityLow.subarray(0, m))
  }
  new Uint16Array(buffer, at.counts, m).set(batch.readingsInMessage.subarray(0, m))
  new Uint8Array(buffer, at.flags, m).set(batch.flags.subarray(0, m))
  const bytes = new Uint8Array(buffer, 0, length)
  bytes.set(definitions, at.definitions)
  bytes.set(deadLetters, deadLettersAt)
  return bytes
}

/**
 * Views a frame as a batch without copying its columns. `bytes.byteOffset` must be a multiple of 8.
 * Stages in two threads decode each frame, and few want its JSON: definitions and dead letters are
 * parsed when they are first read, from the frame's bytes, so before the frame is given away.
 * Throws RangeError when the bytes are not a frame: they passed a checksum, so that is a bug.
 */
export function decodeFrame(bytes: Uint8Array): ReadingBatch {
  return new Frame(bytes)
}

class Frame implements ReadingBatch {
  readonly messageCount: number
  readonly readingCount: number
  readonly baseIngestTimeUs: number
  readonly eventTimeUs: Float64Array
  readonly value: Float64Array
  readonly ingestDeltaUs: Uint32Array
  readonly device: Uint32Array
  readonly series: Uint32Array
  readonly identityHigh: Uint32Array | undefined
  readonly identityLow: Uint32Array | undefined
  readonly readingsInMessage: Uint16Array
  readonly flags: Uint8Array
  readonly #definitionsJson: Uint8Array
  readonly #deadLettersJson: Uint8Array
  #definitions: Definitions | undefined
  #deadLetters: DeadLetter[] | undefined

  constructor(bytes: Uint8Array) {
    const { buffer, byteOffset: from } = bytes
    if (from % 8 !== 0) throw new RangeError('a frame must be aligned to 8 bytes')
    const header = new DataView(buffer, from, FRAME_HEADER_BYTES)
    if (header.getUint32(0, true) !== FRAME_MAGIC) throw new RangeError('not a frame')
    const m = header.getUint32(4, true)
    const r = header.getUint32(8, true)
    const definitionsBytes = header.getUint32(12, true)
    const deadLettersBytes = header.getUint32(16, true)
    const hasIdentities = (header.getUint32(20, true) & FRAME_HAS_IDENTITIES) !== 0
    const at = layout(m, r, hasIdentities)
    const deadLettersAt = align8(at.definitions + definitionsBytes)
    if (deadLettersAt + deadLettersBytes > bytes.length)
      throw new RangeError('a frame is cut short')
    const identity = (half: number): Uint32Array | undefined =>
      hasIdentities ? new Uint32Array(buffer, from + at.identity + half * m * 4, m) : undefined
    this.messageCount = m
    this.readingCount = r
    this.baseIngestTimeUs = header.getFloat64(24, true)
    this.eventTimeUs = new Float64Array(buffer, from + at.event, m)
    this.value = new Float64Array(buffer, from + at.value, r)
    this.ingestDeltaUs = new Uint32Array(buffer, from + at.ingest, m)
    this.device = new Uint32Array(buffer, from + at.device, m)
    this.series = new Uint32Array(buffer, from + at.series, r)
    this.identityHigh = identity(0)
    this.identityLow = identity(1)
    this.readingsInMessage = new Uint16Array(buffer, from + at.counts, m)
    this.flags = new Uint8Array(buffer, from + at.flags, m)
    this.#definitionsJson = bytes.subarray(at.definitions, at.definitions + definitionsBytes)
    this.#deadLettersJson = bytes.subarray(deadLettersAt, deadLettersAt + deadLettersBytes)
  }

  get definitions(): Definitions | undefined {
    return (this.#definitions ??= parseJson(this.#definitionsJson) as Definitions | undefined)
  }

  get deadLetters(): DeadLetter[] | undefined {
    return (this.#deadLetters ??= parseJson(this.#deadLettersJson) as DeadLetter[] | undefined)
  }
}

/** A batch as plain data, to make another of it. */
export const plainBatch = (batch: ReadingBatch): ReadingBatch => ({
  messageCount: batch.messageCount,
  readingCount: batch.readingCount,
  baseIngestTimeUs: batch.baseIngestTimeUs,
  eventTimeUs: batch.eventTimeUs,
  ingestDeltaUs: batch.ingestDeltaUs,
  device: batch.device,
  identityHigh: batch.identityHigh,
  identityLow: batch.identityLow,
  readingsInMessage: batch.readingsInMessage,
  flags: batch.flags,
  value: batch.value,
  series: batch.series,
  definitions: batch.definitions,
  deadLetters: batch.deadLetters,
})

const parseJson = (bytes: Uint8Array): unknown =>
  bytes.length > 0 ? JSON.parse(decoder.decode(bytes)) : undefined

/** How many readings a frame holds, from its header alone. */
export function readingsOfFrame(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES).getUint32(8, true)
}
