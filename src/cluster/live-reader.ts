/**
 * What people watch, from the topics behind the stream: anomalies always, readings of the devices
 * that somebody follows. It begins at the end of each topic, as what was there before is no news,
 * and while nobody follows a device the readings are not read at all.
 */
import type { LiveEvent } from '../api/api.ts'
import type { SeriesDefinition } from '../batch/batch.ts'
import { deviceKey } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import type { Kafka, ReadEntry } from '../kafka/kafka.ts'
import type { Clock } from '../world/world.ts'
import type { EventEntry } from './event-entry.ts'
import { ReadingDecoder } from './reading-columns.ts'
import { Repeating } from './repeating.ts'

/** A burst beyond this in one read is thinned: a page draws no more. */
const READINGS_PER_READ_MAX = 500
/** Between two looks whether somebody follows a device. */
const LOOK_MS = 500
const WAIT_MS = 500
const BYTES_MAX = 4 << 20
const UNLIMITED = { seriesMax: Infinity, textsMax: Infinity }

interface TopicPlace {
  topic: string
  partitions: number
}

export interface LiveReaderParts {
  kafka: Kafka
  clock: Clock
  tenant: string
  /** With their partitions; that of readings is another one once there are more of these. */
  topics: { events: TopicPlace; readings: () => TopicPlace }
  /** One process of a cluster reads. */
  isReading: () => boolean
  emit: (event: Exclude<LiveEvent, { event: 'rate' }>) => void
  failed: (error: unknown) => void
}

export class LiveReader {
  readonly #parts: LiveReaderParts
  readonly #events: Repeating
  readonly #readings: Repeating
  /** Keys of entries. */
  #followed = new Set<string>()

  constructor(parts: LiveReaderParts) {
    this.#parts = parts
    const { clock, failed, topics } = parts
    this.#events = new Repeating({
      ...{ clock, failed },
      run: (isStopping) =>
        this.#follow({
          ...{ of: topics.events, isStopping },
          isIdle: () => !parts.isReading(),
          take: (entries) => this.#takeEvents(entries),
        }),
    })
    this.#readings = new Repeating({
      ...{ clock, failed },
      run: (isStopping) => {
        const of = topics.readings()
        const isOver = (): boolean => topics.readings().topic !== of.topic
        return this.#follow({
          ...{ of, isStopping: () => isStopping() || isOver() },
          isIdle: () => !parts.isReading() || this.#followed.size === 0,
          take: (entries) => this.#takeReadings(entries),
        })
      },
    })
  }

  follow(deviceIds: readonly string[]): void {
    const { tenant } = this.#parts
    this.#followed = new Set(deviceIds.map((id) => textOf(deviceKey(tenant, id))))
  }

  start(): void {
    this.#events.start()
    this.#readings.start()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#events.stop(), this.#readings.stop()])
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#parts.clock.after(LOOK_MS, resolve))
  }

  /** All partitions of a topic from their ends on, until nobody wants them any more. */
  async #follow(how: {
    of: TopicPlace
    isIdle: () => boolean
    isStopping: () => boolean
    take: (entries: readonly ReadEntry[]) => void
  }): Promise<void> {
    const { kafka } = this.#parts
    const { isIdle, isStopping, take } = how
    const { topic, partitions } = how.of
    while (!isStopping() && isIdle()) await this.#pause()
    const reader = kafka.createReader(topic)
    try {
      const positions = new Map<number, number>()
      for (let partition = 0; partition < partitions; partition++)
        positions.set(partition, (await kafka.bounds(topic, partition)).nextOffset)
      while (!isStopping() && !isIdle()) {
        const read = await reader.readMany({ positions, bytesMax: BYTES_MAX, waitMs: WAIT_MS })
        for (const [partition, entries] of read) {
          positions.set(partition, entries.at(-1)!.offset + 1)
          take(entries)
        }
      }
    } finally {
      await reader.close()
    }
  }

  #takeEvents(entries: readonly ReadEntry[]): void {
    for (const { value } of entries) {
      const entry = parse(value)
      if (entry?.type !== 'anomaly') continue
      const { id, deviceId, metric, detectorId, eventTimeUs, value: found, score } = entry.event
      const ts = eventTimeUs / 1000
      const which = { id, device_id: deviceId, metric, detector_id: detectorId }
      this.#parts.emit({ event: 'anomaly', data: { ...which, ts, value: found, score } })
    }
  }

  /** Names go with each read: of few devices they are few. */
  #takeReadings(entries: readonly ReadEntry[]): void {
    const series: SeriesDefinition[] = []
    const decoder = new ReadingDecoder(UNLIMITED, (one) => series.push(one))
    decoder.begin()
    for (const { key, value } of entries) {
      if (!this.#followed.has(textOf(key))) continue
      try {
        decoder.add(value)
      } catch (error) {
        // Whoever stores it tells.
        if (!(error instanceof WeirError)) throw error
      }
    }
    const columns = decoder.take()
    const count = Math.min(columns.count, READINGS_PER_READ_MAX)
    for (let at = 0; at < count; at++) {
      const { deviceId: device_id, metric, kind } = series[columns.series[at]!]!
      const stored = columns.value[at]!
      const value = kind === 'text' ? (decoder.texts[stored] ?? '') : stored
      const ts = columns.timeUs[at]! / 1000
      const said = kind === 'boolean' ? stored === 1 : value
      this.#parts.emit({ event: 'reading', data: { device_id, metric, ts, value: said } })
    }
  }
}

const text = new TextDecoder()
const textOf = (key: Uint8Array | undefined): string => text.decode(key)

/** Others may write into the topic, too. */
function parse(value: Uint8Array): EventEntry | undefined {
  try {
    return JSON.parse(text.decode(value)) as EventEntry
  } catch {
    return undefined
  }
}
