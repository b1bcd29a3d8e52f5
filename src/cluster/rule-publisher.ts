/**
 * Changes of rules, into the log of the cluster: an entry for each partition of the telemetry
 * topic, so that the stream of each meets them between two messages.
 *
 * When the topic is sealed because there are more partitions now, what was refused goes to all
 * partitions of the next generation. A partition that had taken it before hears it twice: the
 * version of a rule says that it is known.
 */
import type { RuleChange } from '../batch/batch.ts'
import { encodeRules } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import type { Appender } from '../kafka/kafka.ts'
import type { Clock } from '../world/world.ts'
import type { Generation, Topics } from './topics.ts'

/** Of the JSON of one entry, in characters; a broker takes 1 MB unless it was told otherwise. */
const CHUNK_CHARACTERS_MAX = 500_000

export class TopicRulePublisher {
  readonly #topics: Topics
  readonly #clock: Clock
  /** Where it wrote last. */
  #place: { generation: Generation; appender: Appender } | undefined
  /** Calls go one after the other. */
  #turn: Promise<void> = Promise.resolve()

  constructor(topics: Topics, clock: Clock) {
    this.#topics = topics
    this.#clock = clock
  }

  /**
   * Resolves once all partitions have them, in their order. After an error some of them may, and it
   * can be done again. Errors: LOG_UNAVAILABLE, LOG_REQUEST_REFUSED.
   */
  publish(changes: readonly RuleChange[]): Promise<void> {
    const publishing = this.#turn.then(() => this.#publish(changes))
    this.#turn = publishing.catch(() => undefined)
    return publishing
  }

  async close(): Promise<void> {
    await this.#turn
    await this.#place?.appender.close()
  }

  async #publish(changes: readonly RuleChange[]): Promise<void> {
    for (const chunk of chunksOf(changes)) {
      await this.#append(encodeRules(chunk, this.#clock.nowUs()))
    }
  }

  async #append(value: Uint8Array): Promise<void> {
    for (;;) {
      const { generation, appender } = (this.#place ??= this.#open(await this.#topics.writable()))
      const { partitions } = generation
      const entries = Array.from({ length: partitions }, (_, partition) => ({ partition, value }))
      try {
        await appender.append(entries)
        return
      } catch (error) {
        if (!(error instanceof WeirError) || error.code !== 'LOG_ENTRY_TOO_LARGE') throw error
        if (await this.#advance(generation)) continue
        // As in EntryLog: the next generation may not be known yet.
        throw new WeirError('LOG_UNAVAILABLE', error.message, { cause: error })
      }
    }
  }

  #open(generation: Generation) {
    const topic = this.#topics.name('telemetry', generation)
    return { generation, appender: this.#topics.kafka.createAppender(topic) }
  }

  /** False when there is no newer generation. */
  async #advance(generation: Generation): Promise<boolean> {
    const next = await this.#topics.after(generation)
    if (next === undefined) return false
    await this.#place?.appender.close()
    this.#place = this.#open(next)
    return true
  }
}

/** In their order; a change that is larger alone stands alone. */
function chunksOf(changes: readonly RuleChange[]): RuleChange[][] {
  const chunks: RuleChange[][] = []
  let left = 0
  for (const change of changes) {
    const { length } = JSON.stringify(change)
    if (length > left) {
      chunks.push([])
      left = CHUNK_CHARACTERS_MAX
    }
    chunks.at(-1)!.push(change)
    left -= length + 1
  }
  return chunks
}
