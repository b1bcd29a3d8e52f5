/**
 * Devices that say nothing. Per device two numbers, written with each of its messages: when it was
 * last heard, and the engine's sequence then. A device has one place in the queue; when that comes
 * up and something was heard since, it goes on to its next place. So a message never touches the
 * queue, and silence of any length costs one entry a device each time that it could fire.
 *
 * Silence is found at the moment when it has lasted long enough, and never before the one that let
 * it be looked for: when the rule or facts came, or the schedule opened.
 */
import { DueQueue } from './due-queue.ts'
import type { Episodes } from './episodes.ts'
import type { LiveRule } from './rule-book.ts'

/** Nothing is to be heard of, or the next message is looked at, or it is only written down. */
const UNWATCHED = 0
const LOOKED_AT = 1
const HEARD = 2

/** Per device: last heard, ingest time (NaN: never) | sequence. */
const STRIDE = 2
const SEEN_CHUNK = 1024

export class Silence {
  readonly #state: Uint8Array
  readonly #seen: Float64Array
  readonly #queuedFor: Float64Array
  readonly #changed: Uint8Array
  readonly #rulesOf = new Map<number, readonly LiveRule[]>()
  /** The same list for all devices that the same rules watch. */
  readonly #lists = new Map<string, readonly LiveRule[]>()
  readonly #episodes: Episodes
  /** As the last tick said it. */
  clockUs = -Infinity
  #due = new DueQueue()

  constructor(deviceMax: number, episodes: Episodes) {
    this.#episodes = episodes
    this.#state = new Uint8Array(deviceMax)
    this.#seen = new Float64Array(deviceMax * STRIDE)
    this.#queuedFor = new Float64Array(deviceMax)
    this.#changed = new Uint8Array(Math.ceil(deviceMax / SEEN_CHUNK))
  }

  /** Whether any device is watched. */
  get isNeeded(): boolean {
    return this.#rulesOf.size > 0
  }
  /** When somebody may have been silent for long enough; Infinity while nobody is waited for. */
  get nextDueUs(): number {
    return this.#due.nextUs
  }
  get bytesHeld(): number {
    return this.#rulesOf.size > 0 ? this.#seen.byteLength + this.#queuedFor.byteLength : 0
  }

  /** These rules watch the device from now on; none: it is not watched. */
  watch(device: number, rules: readonly LiveRule[], nowUs: number): void {
    if (rules.length === 0) {
      if (this.#state[device] === UNWATCHED) return
      this.#state[device] = UNWATCHED
      this.#rulesOf.delete(device)
      this.#queuedFor[device] = 0
      return
    }
    if (this.#state[device] === UNWATCHED) this.#write(device, NaN, 0)
    this.#state[device] = LOOKED_AT
    this.#rulesOf.set(device, this.#listOf(rules))
    this.#queuedFor[device] = 0
    // A frame that crossed another may be a little older than the clock.
    this.queue(device, Math.max(nowUs, this.clockUs))
  }

  /** A message of the device arrived. */
  hear(device: number, ingestUs: number, sequence: number): void {
    const state = this.#state[device]!
    if (state === UNWATCHED) return
    // Times of two gateway threads may cross; a place in the queue never becomes an earlier one.
    if (!(ingestUs <= this.#seen[device * STRIDE]!)) this.#seen[device * STRIDE] = ingestUs
    this.#seen[device * STRIDE + 1] = sequence
    this.#changed[device >> 10] = 1
    if (state === LOOKED_AT) this.#wake(device, ingestUs)
  }

  /** Who was silent for long enough at this moment: nothing fell due before it. */
  fallDue(atUs: number): void {
    while (this.#due.nextUs === atUs) {
      const { item: device } = this.#due.pop()
      if (this.#queuedFor[device] !== atUs) continue
      this.#queuedFor[device] = 0
      for (const live of this.#rulesOf.get(device) ?? []) {
        const heardUs = this.#armedUs(live, device)
        const isDue = heardUs + live.rule.silentUs <= atUs && live.opening.isOpen(atUs)
        if (!isDue || this.#episodes.find(live.index, device) > 0) continue
        this.#episodes.fireSilence(live, device, atUs)
        this.#state[device] = LOOKED_AT
      }
      this.queue(device, atUs)
    }
  }

  /** Gives the device its place in the queue, from now on, where it has none that is as early. */
  queue(device: number, nowUs: number): void {
    let atUs = Infinity
    for (const live of this.#rulesOf.get(device) ?? []) {
      const heardUs = this.#armedUs(live, device)
      if (Number.isNaN(heardUs) || this.#episodes.find(live.index, device) > 0) continue
      const dueUs = Math.max(heardUs + live.rule.silentUs, nowUs)
      const isShut = dueUs === nowUs && !live.opening.isOpen(nowUs)
      atUs = Math.min(atUs, isShut ? live.opening.changesAtUs(nowUs) : dueUs)
    }
    const queuedFor = this.#queuedFor[device]!
    if (atUs === Infinity || (queuedFor !== 0 && queuedFor <= atUs)) return
    this.#queuedFor[device] = atUs
    this.#due.push({ atUs, rank: device, item: device })
  }

  shift(stepUs: number, nowUs: number): void {
    this.#due = new DueQueue()
    for (const device of this.#rulesOf.keys()) {
      const seenUs = Math.min(this.#seen[device * STRIDE]! + stepUs, nowUs)
      this.#write(device, seenUs, this.#seen[device * STRIDE + 1]!)
      this.#queuedFor[device] = 0
      this.queue(device, nowUs)
    }
  }

  /** What changed since the last call, by chunks of devices. */
  takeChanged(): [number, Float64Array<ArrayBuffer>][] {
    const taken: [number, Float64Array<ArrayBuffer>][] = []
    for (const [chunk, isChanged] of this.#changed.entries())
      if (isChanged === 1) {
        const from = chunk * SEEN_CHUNK * STRIDE
        taken.push([
          chunk,
          Float64Array.from(this.#seen.subarray(from, from + SEEN_CHUNK * STRIDE)),
        ])
      }
    this.#changed.fill(0)
    return taken
  }

  /** Takes over a chunk, of the devices that are watched. */
  restore(chunk: number, source: Float64Array, nowUs: number): void {
    this.#changed[chunk] = 1
    for (let row = 0; row < source.length / STRIDE; row++) {
      const device = chunk * SEEN_CHUNK + row
      if ((this.#state[device] ?? UNWATCHED) === UNWATCHED) continue
      this.#write(device, source[row * STRIDE]!, source[row * STRIDE + 1]!)
      this.queue(device, nowUs)
    }
  }

  #write(device: number, heardUs: number, sequence: number): void {
    this.#seen[device * STRIDE] = heardUs
    this.#seen[device * STRIDE + 1] = sequence
    this.#changed[device >> 10] = 1
  }

  #listOf(rules: readonly LiveRule[]): readonly LiveRule[] {
    const key = rules.map(({ order }) => order).join()
    let list = this.#lists.get(key)
    if (list === undefined) this.#lists.set(key, (list = rules))
    return list
  }

  /** When the device was last heard by the rule; NaN: not since the rule came. */
  #armedUs(live: LiveRule, device: number): number {
    const isHeard = this.#seen[device * STRIDE + 1]! >= live.since
    return isHeard ? this.#seen[device * STRIDE]! : NaN
  }

  /** Its silence is over, or it was heard for the first time. */
  #wake(device: number, ingestUs: number): void {
    for (const live of this.#rulesOf.get(device)!) {
      const record = this.#episodes.find(live.index, device)
      if (record > 0) this.#episodes.end(record, ingestUs)
    }
    this.#state[device] = HEARD
    this.queue(device, ingestUs)
  }
}
