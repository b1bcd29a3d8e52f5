/**
 * The topics of an installation, which all processes make or find in the same way.
 *
 * Telemetry, readings and windows have **generations**: who wants more partitions gets new topics
 * (`grow.ts`), and each role goes over to them when it has nothing left to do in those before. The
 * partitions of a generation are a whole multiple of those before, so all devices of a partition
 * were in one partition before: partition modulo their number. Events and dead letters are few, and
 * their topics stay as they are.
 */
import type { Config } from '../config/config.ts'
import { topicName, TOPICS, type TopicKind } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import type { Kafka, TopicSpec } from '../kafka/kafka.ts'
import type { WrittenTopic } from './topic-writer.ts'

/** Telemetry is made last: a generation that has it has them all. */
const GROWING = ['readings', 'windows', 'telemetry'] as const
export type GrowingKind = (typeof GROWING)[number]
type SteadyKind = Exclude<TopicKind, GrowingKind>

/** Asked for at once. */
const GENERATIONS_AT_ONCE = 8

export interface Generation {
  /** From 1 on. */
  number: number
  /** Of each of its topics. */
  partitions: number
}

export class Topics {
  readonly kafka: Kafka
  /** Of the first generation, and of events and dead letters. */
  readonly partitions: number
  readonly #config: Config
  /** They never become fewer, whatever a broker that has just started says. */
  #generations: readonly Generation[]

  private constructor(kafka: Kafka, config: Config, partitions: number) {
    this.kafka = kafka
    this.partitions = partitions
    this.#config = config
    this.#generations = [{ number: 1, partitions }]
  }

  /** Errors: LOG_UNAVAILABLE, LOG_REQUEST_REFUSED, CONFIG_VALUE_INVALID. */
  static async open(kafka: Kafka, config: Config): Promise<Topics> {
    const { topicPrefix } = config.kafka
    const telemetry = topicName(topicPrefix, 'telemetry')
    const spec = specOf(config, telemetry, config.kafka.partitions)
    const { partitions } = (await kafka.ensureTopics([spec])).get(telemetry)!
    const topics = new Topics(kafka, config, partitions)
    // An entry's partition behind the stream is that of its message.
    const others = TOPICS.filter((kind) => kind !== 'telemetry')
    await topics.#make(
      others.map((kind) => topicName(topicPrefix, kind)),
      partitions,
    )
    return topics
  }

  name(kind: GrowingKind, { number }: Generation): string {
    return topicName(this.#config.kafka.topicPrefix, kind, number)
  }

  /** Of those that have one topic for all generations. */
  nameOf(kind: SteadyKind): string {
    return topicName(this.#config.kafka.topicPrefix, kind)
  }

  /** All that there are, from the first on. Errors: LOG_UNAVAILABLE, LOG_REQUEST_REFUSED. */
  async generations(): Promise<readonly Generation[]> {
    for (;;) {
      const known = this.#generations.length
      const asked = Array.from({ length: GENERATIONS_AT_ONCE }, (_, at) =>
        this.name('telemetry', { number: known + 1 + at, partitions: 0 }),
      )
      const found = await this.kafka.describeTopics(asked)
      const absent = asked.findIndex((topic) => !found.has(topic))
      const added = (absent === -1 ? asked : asked.slice(0, absent)).map((topic, at) => ({
        ...{ number: known + 1 + at, partitions: found.get(topic)!.partitions },
      }))
      // Another call may have been faster.
      if (this.#generations.length === known) this.#generations = [...this.#generations, ...added]
      if (absent !== -1) return this.#generations
    }
  }

  /** The one behind it, if there is one by now. Errors: as generations(). */
  async after({ number }: Generation): Promise<Generation | undefined> {
    return (await this.generations())[number]
  }

  /** Where gateways write: the newest, once those before are sealed. Errors: as generations(). */
  async writable(): Promise<Generation> {
    const all = await this.generations()
    for (let at = all.length - 1; at > 0; at--) {
      if (await this.kafka.isSealed(this.name('telemetry', all[at - 1]!))) return all[at]!
    }
    return all[0]!
  }

  /** Makes what is missing of it. Errors: as open(). */
  async make(generation: Generation): Promise<void> {
    for (const kind of GROWING) {
      await this.#make([this.name(kind, generation)], generation.partitions)
    }
  }

  async #make(names: readonly string[], partitions: number): Promise<void> {
    const specs = names.map((topic) => specOf(this.#config, topic, partitions))
    for (const [topic, state] of await this.kafka.ensureTopics(specs)) {
      if (state.partitions === partitions) continue
      const detail = `${topic} has ${state.partitions} partitions and not ${partitions}`
      throw new WeirError('CONFIG_VALUE_INVALID', `kafka.topicPrefix: ${detail}`)
    }
  }
}

function specOf({ kafka }: Config, topic: string, partitions: number): TopicSpec {
  const { replication, minInsyncReplicas, retentionUs } = kafka
  return {
    ...{ topic, partitions, replication },
    // A single broker has no second copy to wait for.
    minInsyncReplicas: Math.min(minInsyncReplicas, replication),
    retentionMs: retentionUs / 1000,
  }
}

/**
 * Where a topic behind the stream ends for good, by partition; undefined while more may come. The
 * stream is never ahead of itself: what it says of a generation is acknowledged before it says
 * anything of the next one.
 */
export async function finalEnds(
  topics: Topics,
  kind: GrowingKind,
  generation: Generation,
): Promise<number[] | undefined> {
  const next = await topics.after(generation)
  if (next === undefined) return undefined
  const begun = await endsOf(topics, kind, next)
  return begun.some((end) => end > 0) ? endsOf(topics, kind, generation) : undefined
}

/** Those that partitions of the first generation were divided into. */
export function partitionsIn(
  { partitions }: Generation,
  topics: Topics,
  first: readonly number[],
): number[] {
  const all = Array.from({ length: partitions }, (_, partition) => partition)
  return all.filter((partition) => first.includes(partition % topics.partitions))
}

/** A topic of readings or windows, as its writers go through it. */
export const growingTopic = (topics: Topics, kind: GrowingKind): WrittenTopic => ({
  first: { number: 1, partitions: topics.partitions },
  nameOf: (generation) => topics.name(kind, generation),
  finalEnds: (generation) => finalEnds(topics, kind, generation),
  after: (generation) => topics.after(generation),
})

/** One of events or dead letters. */
export const steadyTopic = (topics: Topics, kind: SteadyKind): WrittenTopic => ({
  first: { number: 1, partitions: topics.partitions },
  nameOf: () => topics.nameOf(kind),
  finalEnds: () => Promise.resolve(undefined),
  after: () => Promise.resolve(undefined),
})

export function endsOf(
  topics: Topics,
  kind: GrowingKind,
  generation: Generation,
): Promise<number[]> {
  const topic = topics.name(kind, generation)
  return Promise.all(
    Array.from({ length: generation.partitions }, async (_, partition) => {
      return (await topics.kafka.bounds(topic, partition)).nextOffset
    }),
  )
}
