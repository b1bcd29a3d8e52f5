/** From the configuration to how the services of a cluster are reached. */
import type { Config } from '../config/config.ts'
import { formatRange, HASH_MAX, parseStores } from '../config/stores.ts'
import { WeirError } from '../errors/errors.ts'
import type { AthenaAccess } from '../lake-engine/athena.ts'
import type { TrinoAccess } from '../lake-engine/trino.ts'
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

/** Undefined: there is none. Errors: CONFIG_VALUE_INVALID. */
export function engineAccess(config: Config): EngineAccess | undefined {
  const { engine, lake } = config
  const { kind, table, location } = engine
  if (kind === 'off') return undefined
  if (kind !== 'trino' && kind !== 'athena') {
    throw wrong(`engine.kind: ${kind} is none of off, trino, athena`)
  }
  if (!/^[a-z_]\w*(?:\.[a-z_]\w*){0,2}$/i.test(table)) {
    throw wrong(`engine.table: "${table}" is no table as hive.iot.readings`)
  }
  if (location === '' && lake.bucket === '') {
    throw wrong('engine: it reads the lake, which needs lake.bucket')
  }
  if (config.postgres.stores.length > 1) {
    throw wrong('engine.kind: not with several postgres.stores, of which none knows all devices')
  }
  const place = { table, location: (location || `s3://${lake.bucket}`).replace(/\/+$/, '') }
  if (kind === 'athena') return { ...place, kind, access: athenaAccess(engine) }
  return { ...place, kind, access: trinoAccess(engine) }
}

export type EngineAccess = { table: string; location: string } & (
  | { kind: 'trino'; access: TrinoAccess }
  | { kind: 'athena'; access: AthenaAccess }
)

function trinoAccess({ url, user, password, token }: Config['engine']): TrinoAccess {
  const parsed = URL.parse(url)
  const isWhole = parsed?.pathname === '/' && parsed.username === '' && parsed.search === ''
  if (!isWhole || !/^https?:$/.test(parsed.protocol)) {
    throw wrong('engine.url: it is no address as https://trino:8443')
  }
  if (password !== '' && token !== '') throw wrong('engine.password and engine.token: one of them')
  const hasSecret = password !== '' || token !== ''
  if (hasSecret && parsed.protocol !== 'https:') {
    throw wrong('engine.url: a password or token is sent over https only')
  }
  return {
    ...{ url: parsed.origin, user },
    ...(password !== '' && { password }),
    ...(token !== '' && { token }),
  }
}

function athenaAccess(engine: Config['engine']): AthenaAccess {
  const { region, endpoint, workgroup, outputLocation, accessKey, secretKey } = engine
  if ((accessKey === '') !== (secretKey === '')) {
    throw wrong('engine.accessKey and engine.secretKey: both or neither')
  }
  if (endpoint !== '' && !/^https?:$/.test(URL.parse(endpoint)?.protocol ?? '')) {
    throw wrong('engine.endpoint: it is no address as https://host:9000')
  }
  return {
    ...{ region, workgroup },
    ...(endpoint !== '' && { endpoint }),
    ...(outputLocation !== '' && { outputLocation }),
    ...(accessKey !== '' && { credentials: { accessKey, secretKey } }),
  }
}
