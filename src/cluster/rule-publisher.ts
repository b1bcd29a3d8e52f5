/**
 * Changes of rules, into the log of the cluster: an entry for each partition of the telemetry
 * topic, so that the stream of each meets them between two messages.
 *
 * When there are to be more partitions, those of the next generation hear it, too, from the moment
 * when their topic is there: whoever writes messages into it finds the rules before them. When the
 * topic of before is sealed, it goes to the next one alone. A partition that hears something twice
 * changes nothing: the version of a rule says that it is known.
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
  /** Of generations that are written, by their numbers. */
  readonly #appenders = new Map<number, Appender>()
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
    await Promise.all([...this.#appenders.values()].map((one) => one.close()))
  }

  async #publish(changes: readonly RuleChange[]): Promise<void> {
    for (const chunk of chunksOf(changes)) {
      await this.#append(encodeRules(chunk, this.#clock.nowUs()))
    }
  }

  /** Into the generation that is written, and into those that are about to be. */
  async #append(value: Uint8Array): Promise<void> {
    const from = await this.#topics.writable()
    const all = (await this.#topics.generations()).slice(from.number - 1)
    for (const [at, generation] of all.entries()) {
      const entries = Array.from({ length: generation.partitions }, (_, partition) => ({
        ...{ partition, value },
      }))
      try {
        await this.#appenderOf(generation).append(entries)
      } catch (error) {
        if (!(error instanceof WeirError) || error.code !== 'LOG_ENTRY_TOO_LARGE') throw error
        // Sealed meanwhile; as in EntryLog, the next generation may not be known yet.
        if (at === all.length - 1)
          throw new WeirError('LOG_UNAVAILABLE', error.message, { cause: error })
      }
    }
  }

  #appenderOf(generation: Generation): Appender {
    const known = this.#appenders.get(generation.number)
    if (known !== undefined) return known
    const topic = this.#topics.name('telemetry', generation)
    const appender = this.#topics.kafka.createAppender(topic)
    this.#appenders.set(generation.number, appender)
    return appender
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
