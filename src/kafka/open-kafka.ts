/** Kafka by `@platformatic/kafka`: its connections and protocol, our batches, order and retries. */
import type { ConnectionOptions } from 'node:tls'
import type { Disk, World } from '../world/world.ts'
import { KafkaAppender } from './appender.ts'
import { KafkaClient, type ClientSettings } from './client.ts'
import type {
  Appender,
  Bounds,
  Kafka,
  KafkaAccess,
  KafkaTls,
  Reader,
  TopicSpec,
  TopicState,
} from './kafka.ts'
import { KafkaReader } from './reader.ts'
import { awaitSealed, isSealed, setSealed } from './sealing.ts'
import { boundsOf, deleteBefore, describeTopics, ensureTopics, keptMsOf } from './topics.ts'

/**
 * Connects to one broker, and fails at once when none answers.
 * Errors: LOG_UNAVAILABLE; LOG_REQUEST_REFUSED for a wrong password or a certificate that is not
 * trusted.
 */
export async function openKafka(
  access: KafkaAccess,
  world: Pick<World, 'clock' | 'disk'>,
): Promise<Kafka> {
  const tls = access.tls === undefined ? undefined : await certificatesOf(world.disk, access.tls)
  const kafka = new PlatformaticKafka({ access, tls, clock: world.clock })
  try {
    await kafka.check()
    return kafka
  } catch (error) {
    await kafka.close()
    throw error
  }
}

async function certificatesOf(disk: Disk, files: KafkaTls): Promise<ConnectionOptions> {
  const { caFile, certFile, keyFile } = files
  return {
    ...(caFile === undefined ? {} : { ca: await contentOf(disk, caFile) }),
    ...(certFile === undefined ? {} : { cert: await contentOf(disk, certFile) }),
    ...(keyFile === undefined ? {} : { key: await contentOf(disk, keyFile) }),
  }
}

async function contentOf(disk: Disk, path: string): Promise<Buffer> {
  const file = await disk.open(path, 'read')
  try {
    const content = Buffer.alloc(await file.size())
    await file.read(content, 0)
    return content
  } finally {
    await file.close()
  }
}

class PlatformaticKafka implements Kafka {
  readonly #settings: ClientSettings
  readonly #client: KafkaClient
  readonly #users = new Set<Appender | Reader>()

  constructor(settings: ClientSettings) {
    this.#settings = settings
    this.#client = new KafkaClient(settings)
  }

  async check(): Promise<void> {
    try {
      await this.#client.metadata([])
    } catch (error) {
      const { brokers } = this.#settings.access
      throw this.#client.failureOf(error, `Kafka at ${brokers.join(', ')}`)
    }
  }

  ensureTopics(specs: readonly TopicSpec[]): Promise<Map<string, TopicState>> {
    return ensureTopics(this.#client, specs)
  }

  describeTopics(names: readonly string[]): Promise<Map<string, TopicState>> {
    return describeTopics(this.#client, names)
  }

  isSealed(topic: string): Promise<boolean> {
    return isSealed(this.#client, topic)
  }

  checkSealable(topic: string): Promise<void> {
    return setSealed(this.#client, topic, { isTrial: true })
  }

  async seal(topic: string, partitions: number, probe: Uint8Array): Promise<void> {
    const isDone = await isSealed(this.#client, topic)
    if (!isDone) await setSealed(this.#client, topic, { isTrial: false })
    await awaitSealed(new KafkaClient(this.#settings), topic, { partitions, probe })
  }

  bounds(topic: string, partition: number): Promise<Bounds> {
    return boundsOf(this.#client, topic, partition)
  }

  keptMs(topic: string): Promise<number | undefined> {
    return this.#client.retry(topic, `Asking how long ${topic} is kept`, () =>
      keptMsOf(this.#client, topic),
    )
  }

  deleteBefore(topic: string, partition: number, offset: number): Promise<void> {
    return deleteBefore(this.#client, topic, { partition, offset })
  }

  createAppender(topic: string): Appender {
    return this.#keep((client) => new KafkaAppender(client, topic))
  }

  createReader(topic: string): Reader {
    return this.#keep((client) => new KafkaReader(client, topic))
  }

  /** Until it is closed: a role makes new ones each time that it begins again. */
  #keep<User extends Appender | Reader>(create: (client: KafkaClient) => User): User {
    const onClose = (): void => void this.#users.delete(user)
    const user = create(new KafkaClient({ ...this.#settings, onClose }))
    this.#users.add(user)
    return user
  }

  async close(): Promise<void> {
    const all = [...this.#users, this.#client]
    await Promise.all(all.map((one) => one.close()))
  }
}
