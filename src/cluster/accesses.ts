/** From the configuration to how the services of a cluster are reached. */
import type { Config } from '../config/config.ts'
import { formatRange, HASH_MAX, parseStores } from '../config/stores.ts'
import { WeirError } from '../errors/errors.ts'
import type { KafkaAccess, KafkaSasl } from '../kafka/kafka.ts'
import type { S3Access } from '../objects/s3-objects.ts'
import { bucketAccess } from '../objects/s3-settings.ts'
import type { Random } from '../world/world.ts'
import type { HashRange } from '../postgres/postgres.ts'
import type { PostgresPlace } from '../postgres-client/postgres-client.ts'

const MECHANISMS: readonly KafkaSasl['mechanism'][] = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']

const wrong = (detail: string): WeirError => new WeirError('CONFIG_VALUE_INVALID', detail)

/** Errors: CONFIG_VALUE_INVALID. */
export function kafkaAccess({ kafka }: Config): KafkaAccess {
  if (kafka.brokers.length === 0) throw wrong('kafka.brokers: a cluster needs at least one')
  const { saslMechanism, saslUsername: username, saslPassword: password } = kafka
  const mechanism = MECHANISMS.find((one) => one === saslMechanism)
  if (saslMechanism !== '' && mechanism === undefined) {
    throw wrong(`kafka.saslMechanism: ${saslMechanism} is none of ${MECHANISMS.join(', ')}`)
  }
  const { tlsCaFile: caFile, tlsCertFile: certFile, tlsKeyFile: keyFile } = kafka
  const tls = {
    ...(caFile !== '' && { caFile }),
    ...(certFile !== '' && { certFile }),
    ...(keyFile !== '' && { keyFile }),
  }
  return {
    brokers: kafka.brokers,
    clientId: 'weir',
    ...(mechanism !== undefined && { sasl: { mechanism, username, password } }),
    ...(kafka.tls && { tls }),
  }
}

/**
 * Registry, the stream's state and, without other stores, hot storage. Errors:
 * CONFIG_VALUE_INVALID.
 */
export function postgresAccess({ postgres }: Config): PostgresPlace {
  if (postgres.url === '') {
    throw wrong('postgres.url: a cluster needs it (or the variable WEIR_POSTGRES_URL)')
  }
  return { url: postgres.url, schema: postgres.schema }
}

/** A PostgreSQL that keeps hot storage. */
export interface StoreAccess {
  /** For people; undefined when there is one store. */
  name: string | undefined
  range: HashRange
  place: PostgresPlace
}

/** One at least. Errors: CONFIG_VALUE_INVALID. */
export function storeAccesses(config: Config): StoreAccess[] {
  const stores = parseStores(config.postgres.stores)
  if ('problem' in stores) throw wrong(`postgres.stores: ${stores.problem}`)
  const { schema } = config.postgres
  if (stores.length === 0) {
    const range = { from: 0, to: HASH_MAX }
    return [{ name: undefined, range, place: postgresAccess(config) }]
  }
  return stores.map(({ from, to, url }) => ({
    name: stores.length === 1 ? undefined : formatRange({ from, to }),
    range: { from, to },
    place: { url, schema },
  }))
}

/** Errors: CONFIG_VALUE_INVALID. */
export function s3Access({ lake }: Config, random: Random): S3Access {
  if (lake.bucket === '') throw wrong('lake.bucket: the role lake needs it')
  return bucketAccess('lake', lake, random)
}

/** Of the topic's; all of them when the text is empty. Errors: CONFIG_VALUE_INVALID. */
export function lakePartitions(
  { lake }: Config,
  count: number,
): { set: string; partitions: number[] } {
  const all = Array.from({ length: count }, (_, partition) => partition)
  if (lake.partitions === '') return { set: 'all', partitions: all }
  const [, first = '', last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(lake.partitions) ?? []
  const partitions = all.slice(Number(first), Number(last) + 1)
  const isWhole = partitions.length === Number(last) - Number(first) + 1
  if (first !== '' && partitions.length > 0 && isWhole) {
    return { set: `${Number(first)}_${Number(last)}`, partitions }
  }
  throw wrong(`lake.partitions: ${lake.partitions} is none of 0 to ${count - 1}, as 3 or 0-3`)
}
