/** Entries of the readings topic as columns, for whatever stores them. */
import { MessageDecoder, type DecoderLimits } from '../entries/entries.ts'
import type { SeriesDefinition } from '../batch/batch.ts'

/** `series` and `value` are good until the next begin(). */
export interface ReadingColumns {
  count: number
  /** In the order of their first appearance, from 0. */
  series: Uint32Array
  timeUs: Float64Array
  /** Booleans are 0 or 1; of a text its place in `texts`. */
  value: Float64Array
}

export class ReadingDecoder {
  readonly #decoder: MessageDecoder
  readonly #define: (series: SeriesDefinition) => void
  /** All that appeared, by their numbers. */
  readonly texts: string[] = []

  /** `define` is called for each series once, in the order of their numbers. */
  constructor(limits: DecoderLimits, define: (series: SeriesDefinition) => void) {
    this.#decoder = new MessageDecoder(limits)
    this.#define = define
  }

  begin(): void {
    this.#decoder.begin(0)
  }

  /** Nothing of it is there after an error: ENTRY_MALFORMED, SERIES_LIMIT, TEXT_LIMIT. */
  add(value: Uint8Array): void {
    this.#decoder.add(value)
  }

  /** What was added since begin(). */
  take(): ReadingColumns {
    const batch = this.#decoder.take()
    for (const one of batch.definitions?.series ?? []) this.#define(one)
    for (const [id, text] of batch.definitions?.texts ?? []) this.texts[id] = text
    const { readingCount: count, messageCount, readingsInMessage, eventTimeUs } = batch
    const timeUs = new Float64Array(count)
    let at = 0
    for (let message = 0; message < messageCount; message++) {
      const end = at + readingsInMessage[message]!
      timeUs.fill(eventTimeUs[message]!, at, end)
      at = end
    }
    const series = batch.series.subarray(0, count)
    return { count, series, timeUs, value: batch.value.subarray(0, count) }
  }
}

/** Texts by row, in place of their numbers, which become 0; undefined when there are none. */
export function takeTexts(
  { series, value, texts }: { series: Uint32Array; value: Float64Array; texts: readonly string[] },
  isText: (series: number) => boolean,
): (string | undefined)[] | undefined {
  let taken: (string | undefined)[] | undefined
  for (const [at, one] of series.entries()) {
    if (!isText(one)) continue
    taken ??= Array.from({ length: series.length })
    taken[at] = texts[value[at]!]
    value[at] = 0
  }
  return taken
}
