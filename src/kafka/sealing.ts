/**
 * The end of a topic: its `max.message.bytes` is set to less than any batch has, so that its
 * leaders refuse whatever comes. There is no setting of Kafka's that says "no more", and an ACL
 * would need an authorizer.
 *
 * The setting reaches each broker in its own time, so each partition is asked: once its leader has
 * refused an entry, whoever leads it later knows the setting, too, as brokers hear of settings and
 * leaders in one order (KRaft; with ZooKeeper nobody should restart brokers meanwhile).
 */
import { incrementalAlterConfigsV1 } from '@platformatic/kafka'
import { WeirError } from '../errors/errors.ts'
import { KafkaAppender } from './appender.ts'
import { RETRY_MS, TRY_MS_MAX, type KafkaClient } from './client.ts'
import { BATCH_BYTES_ASSUMED, batchBytesMaxOf, TOPIC_RESOURCE } from './topics.ts'

/** Fewer than the header of a batch. */
const SEALED_BYTES = 1
/** The protocol's number for setting a value. */
const SET = 0

export const isSealed = (client: KafkaClient, topic: string): Promise<boolean> =>
  client.retry('', `Asking for the settings of ${topic}`, async () => {
    return (await batchBytesMaxOf(client, topic)) <= SEALED_BYTES
  })

/** Sets it, or only has the brokers say whether they would. */
export const setSealed = (
  client: KafkaClient,
  topic: string,
  how: { isTrial: boolean },
): Promise<void> =>
  client.retry('', `Sealing ${topic}`, async () => {
    const name = 'max.message.bytes'
    const setting = { name, configOperation: SET, value: String(SEALED_BYTES) } as const
    const of = { resourceType: TOPIC_RESOURCE, resourceName: topic } as const
    const resource = { ...of, configs: [setting] }
    const connection = await client.anyConnection()
    await incrementalAlterConfigsV1.api.async(connection, [resource], how.isTrial)
  })

/** Resolves once each partition refused `probe`. Closes `client`. */
export async function awaitSealed(
  client: KafkaClient,
  topic: string,
  { partitions, probe }: { partitions: number; probe: Uint8Array },
): Promise<void> {
  // What the setting says must not be believed here: the leader is to say it.
  const appender = new KafkaAppender(client, topic, () => Promise.resolve(BATCH_BYTES_ASSUMED))
  const startMs = client.clock.monotonicMs()
  const isRefused = async (partition: number): Promise<boolean> => {
    try {
      await appender.append([{ partition, value: probe }])
      return false
    } catch (error) {
      if (error instanceof WeirError && error.code === 'LOG_ENTRY_TOO_LARGE') return true
      throw error
    }
  }
  try {
    for (let partition = 0; partition < partitions; partition++) {
      while (!(await isRefused(partition))) {
        if (client.clock.monotonicMs() - startMs > TRY_MS_MAX)
          throw new WeirError('LOG_UNAVAILABLE', `${topic}, partition ${partition} is still open`)
        await new Promise<void>((resolve) => void client.clock.after(RETRY_MS, resolve))
      }
    }
  } finally {
    await appender.close()
  }
}
