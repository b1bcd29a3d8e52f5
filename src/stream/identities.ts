/**
 * Message identities: per device the last 128 ids that it gave its messages, as 64-bit hashes. They
 * recognise the repeat of a whole message even when its readings have been forgotten or carry no
 * time of their own. Only devices that use ids get a record; a silent device's record is reused.
 *
 * Record, u32: 128 high halves | 128 low halves | next place | count | device + 1 | last use, s
 */
const RING = 128
const NEXT = 2 * RING
const COUNT = NEXT + 1
const DEVICE = NEXT + 2
const LAST_USE = NEXT + 3
const STRIDE = 2 * RING + 8
const RECORDS_PER_CHUNK = 256
const CHUNK_SHIFT = 8

const seconds = (timeUs: number): number => Math.max(0, Math.floor(timeUs / 1e6))

export class Identities {
  readonly chunks: Uint32Array<ArrayBuffer>[] = []
  /** 1 where a chunk changed since the last checkpoint. */
  readonly changed: Uint8Array
  /** Record of a device, plus 1; 0 is none. */
  readonly #records: Uint32Array
  #recordCount = 0
  #free: number[] = []

  constructor(deviceMax: number) {
    this.#records = new Uint32Array(deviceMax)
    this.changed = new Uint8Array(Math.ceil(deviceMax / RECORDS_PER_CHUNK))
  }

  get bytesHeld(): number {
    return this.chunks.length * RECORDS_PER_CHUNK * STRIDE * 4 + this.#records.byteLength
  }

  /** Whether the device's last 128 ids hold this one; if not, it is remembered. */
  isRepeat(device: number, high: number, low: number, ingestUs: number): boolean {
    let record = this.#records[device]! - 1
    if (record < 0) record = this.#allocate(device)
    const chunk = this.chunks[record >> CHUNK_SHIFT]!
    const base = (record & (RECORDS_PER_CHUNK - 1)) * STRIDE
    this.changed[record >> CHUNK_SHIFT] = 1
    chunk[base + LAST_USE] = seconds(ingestUs)
    const count = chunk[base + COUNT]!
    for (let i = 0; i < count; i++)
      if (chunk[base + i] === high && chunk[base + RING + i] === low) return true
    const place = chunk[base + NEXT]!
    chunk[base + place] = high
    chunk[base + RING + place] = low
    chunk[base + NEXT] = (place + 1) & (RING - 1)
    if (count < RING) chunk[base + COUNT] = count + 1
    return false
  }

  /** Forgets the devices of chunk `index` whose last id is older than `beforeUs` (ingest time). */
  expire(index: number, beforeUs: number): void {
    const chunk = this.chunks[index]
    if (chunk === undefined) return
    const before = seconds(beforeUs)
    for (let base = 0; base < chunk.length; base += STRIDE) {
      const device = chunk[base + DEVICE]! - 1
      if (device < 0 || chunk[base + LAST_USE]! >= before) continue
      chunk.fill(0, base, base + STRIDE)
      this.#records[device] = 0
      this.#free.push(index * RECORDS_PER_CHUNK + base / STRIDE)
      this.changed[index] = 1
    }
  }

  /** The gateway's clock was set: nobody was silent for that. */
  shift(stepUs: number, nowUs: number): void {
    const nowSeconds = seconds(nowUs)
    for (const [index, chunk] of this.chunks.entries()) {
      for (let base = 0; base < chunk.length; base += STRIDE) {
        if (chunk[base + DEVICE] === 0) continue
        const shifted = chunk[base + LAST_USE]! + Math.round(stepUs / 1e6)
        chunk[base + LAST_USE] = Math.max(0, Math.min(shifted, nowSeconds))
      }
      this.changed[index] = 1
    }
  }

  /** Takes over the records of one chunk. Call for ascending indices, then let ids come in. */
  restore(index: number, source: Uint32Array<ArrayBuffer>): void {
    this.chunks[index] = source
    this.#recordCount = Math.max(this.#recordCount, (index + 1) * RECORDS_PER_CHUNK)
    for (let row = RECORDS_PER_CHUNK - 1; row >= 0; row--) {
      const device = source[row * STRIDE + DEVICE]! - 1
      const record = index * RECORDS_PER_CHUNK + row
      if (device < 0) this.#free.push(record)
      else this.#records[device] = record + 1
    }
  }

  /** Devices that are not wanted are forgotten. */
  retain(wanted: ReadonlySet<number>): void {
    for (let device = 0; device < this.#records.length; device++) {
      const record = this.#records[device]! - 1
      if (record < 0 || wanted.has(device)) continue
      const base = (record & (RECORDS_PER_CHUNK - 1)) * STRIDE
      this.chunks[record >> CHUNK_SHIFT]!.fill(0, base, base + STRIDE)
      this.changed[record >> CHUNK_SHIFT] = 1
      this.#records[device] = 0
      this.#free.push(record)
    }
  }

  #allocate(device: number): number {
    const record = this.#free.pop() ?? this.#recordCount++
    const index = record >> CHUNK_SHIFT
    const chunk = (this.chunks[index] ??= new Uint32Array(RECORDS_PER_CHUNK * STRIDE))
    chunk[(record & (RECORDS_PER_CHUNK - 1)) * STRIDE + DEVICE] = device + 1
    this.#records[device] = record + 1
    return record
  }
}
