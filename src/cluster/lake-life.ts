/** One life of the lake's writer: from its opening to the end of a generation, or what ends it. */
import { WeirError } from '../errors/errors.ts'
import type { ReadEntry, Reader } from '../kafka/kafka.ts'
import type { LakeWriter, TopicOffset } from '../lake/lake.ts'
import { LakeReadings } from './lake-readings.ts'
import type { LakeFigures, LakeRoleParts } from './lake-role.ts'
import { TakenSources } from './taken-sources.ts'
import { finalEnds, partitionsIn, type Generation } from './topics.ts'

/** Between two looks for the end of the generation. */
const LOOK_MS = 1000
/** While nothing can be read. */
const REST_MS = 50

interface Place {
  readings: LakeReadings
  /** Where to read on. */
  offset: number
}

export class LakeLife {
  readonly #parts: LakeRoleParts
  readonly #writer: LakeWriter
  readonly #figures: LakeFigures
  readonly #generation: Generation
  readonly #topic: string
  readonly #reader: Reader
  readonly #places = new Map<number, Place>()
  /** Is under way while what came before is decoded. */
  #reading: Promise<Map<number, ReadEntry[]>> | undefined
  /** Read and not appended yet. */
  #waiting: { partition: number; entries: readonly ReadEntry[] }[] = []
  #committing: Promise<void> | undefined
  /** Why it must end, found by a commit. */
  #fence: WeirError | undefined
  /** And not known to be committed. */
  #appended = 0
  #failedSinceMs: number | undefined
  #isFullTold = false

  #lookedAtMs = -Infinity

  constructor(
    parts: LakeRoleParts,
    of: { writer: LakeWriter; generation: Generation; figures: LakeFigures },
  ) {
    this.#parts = parts
    this.#writer = of.writer
    this.#figures = of.figures
    this.#generation = of.generation
    this.#topic = parts.topics.name('readings', of.generation)
    this.#reader = parts.topics.kafka.createReader(this.#topic)
  }

  async begin(): Promise<void> {
    const { topics, partitions, options, tell } = this.#parts
    const topic = this.#topic
    const malformed = (offset: number, error: WeirError): void =>
      tell.malformed(topic, offset, error)
    for (const partition of partitionsIn(this.#generation, topics, partitions)) {
      const taken = this.#takenOf(partition)
      const readings = new LakeReadings({ topic, partition, taken, limits: options, malformed })
      const offset = this.#committed(topic, partition)?.nextOffset ?? 0
      this.#places.set(partition, { readings, offset })
    }
    await this.#skipForgotten()
  }

  #committed(topic: string, partition: number): TopicOffset | undefined {
    const { offsets } = this.#writer
    return offsets.find((one) => one.topic === topic && one.partition === partition)
  }

  /** Commits of before have an offset of the telemetry topic: all below it were taken. */
  #takenOf(partition: number): TakenSources {
    const text = this.#committed(this.#topic, partition)?.taken
    if (text !== undefined) return TakenSources.parse(text)
    const sourceTopic = this.#parts.topics.name('telemetry', this.#generation)
    return new TakenSources(this.#committed(sourceTopic, partition)?.nextOffset)
  }

  /** Whether all of the generation was appended. Errors: those of Kafka. */
  async isRead(): Promise<boolean> {
    const { clock, topics } = this.#parts
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#lookedAtMs < LOOK_MS || this.#waiting.length > 0) return false
    this.#lookedAtMs = nowMs
    const ends = await finalEnds(topics, 'readings', this.#generation)
    if (ends === undefined) return false
    return [...this.#places].every(([partition, { offset }]) => offset >= ends[partition]!)
  }

  /** Errors: LAKE_FENCED, and those of Kafka. What the store fails at is tried again. */
  async step(): Promise<void> {
    if (this.#fence !== undefined) throw this.#fence
    const isFull = !this.#writer.hasRoom
    this.#noteFull(isFull)
    if (isFull) await this.#rest()
    else {
      if (this.#waiting.length === 0) await this.#read()
      this.#appendNext()
    }
    if (this.#committing === undefined && this.#writer.isDue) this.#commit()
  }

  /** Commits what there is. */
  async finish(): Promise<void> {
    await this.#committing
    if (this.#failedSinceMs !== undefined || this.#writer.held === 0) return
    this.#commit()
    await this.#committing
  }

  async close(): Promise<void> {
    await this.#committing
    this.#figures.readingsHeld = 0
    this.#figures.isFull = false
    await this.#reader.close()
    await this.#reading?.catch(() => undefined)
  }

  #rest(): Promise<void> {
    return new Promise((resolve) => void this.#parts.clock.after(REST_MS, resolve))
  }

  /** Told once an outage. A commit that is slower than Kafka fills it, too, and is no outage. */
  #noteFull(isFull: boolean): void {
    this.#figures.isFull = isFull
    if (!isFull || this.#isFullTold || this.#failedSinceMs === undefined) return
    this.#isFullTold = true
    this.#parts.tell.full(this.#figures.readingsHeld)
  }

  async #read(): Promise<void> {
    const read = await (this.#reading ?? this.#fetch())
    this.#reading = undefined
    for (const [partition, entries] of read) {
      const last = entries.at(-1)
      if (last === undefined) continue
      this.#places.get(partition)!.offset = last.offset + 1
      this.#waiting.push({ partition, entries })
    }
    this.#reading = this.#fetch()
    // Whoever throws before the next step awaits it must not leave it unheard.
    this.#reading.catch(() => undefined)
  }

  async #fetch(): Promise<Map<number, ReadEntry[]>> {
    const { bytesMax, waitMs } = this.#parts.options
    const positions = new Map([...this.#places].map(([at, { offset }]) => [at, offset]))
    try {
      return await this.#reader.readMany({ positions, bytesMax, waitMs })
    } catch (error) {
      const isGone = error instanceof WeirError && error.code === 'LOG_OFFSET_GONE'
      if (isGone && (await this.#skipForgotten())) return new Map()
      throw error
    }
  }

  /** Whether there was something to skip. */
  async #skipForgotten(): Promise<boolean> {
    const { topics, tell } = this.#parts
    const topic = this.#topic
    let skipped = 0
    for (const [partition, place] of this.#places) {
      const { offset: fromOffset } = place
      const { firstOffset: toOffset } = await topics.kafka.bounds(topic, partition)
      if (toOffset <= fromOffset) continue
      skipped += toOffset - fromOffset
      place.offset = toOffset
      tell.lost({ topic, partition, fromOffset, toOffset })
    }
    this.#figures.entriesLost += skipped
    return skipped > 0
  }

  /** A read is several partitions, and the writer may be full after the first of them. */
  #appendNext(): void {
    const next = this.#waiting.shift()
    if (next === undefined) return
    const { partition, entries } = next
    const decoded = this.#places.get(partition)!.readings.decode(entries)
    const { batch, rest, repeats, uncertain } = decoded
    const taken = this.#writer.append(batch)
    this.#appended += taken
    this.#figures.erased += batch.count - taken
    this.#figures.repeats += repeats
    this.#figures.uncertain += uncertain
    if (uncertain > 0) this.#parts.tell.uncertain({ topic: this.#topic, partition, uncertain })
    this.#figures.readingsHeld = this.#writer.held
    if (rest.length > 0) this.#waiting.unshift({ partition, entries: rest })
  }

  #commit(): void {
    this.#committing = this.#tryCommit().finally(() => (this.#committing = undefined))
  }

  /** Never throws. */
  async #tryCommit(): Promise<void> {
    const { clock, tell } = this.#parts
    const figures = this.#figures
    try {
      await this.#writer.commit()
    } catch (error) {
      figures.failedCommits++
      if (error instanceof WeirError && error.code === 'LAKE_FENCED') this.#fence = error
      else if (this.#failedSinceMs === undefined) tell.commitFailed(error)
      this.#failedSinceMs ??= clock.monotonicMs()
      return
    }
    figures.readingsHeld = this.#writer.held
    figures.readings += this.#appended - this.#writer.held
    this.#appended = this.#writer.held
    figures.commits++
    if (this.#failedSinceMs === undefined) return
    tell.commitRecovered(clock.monotonicMs() - this.#failedSinceMs)
    this.#failedSinceMs = undefined
    this.#isFullTold = false
  }
}
