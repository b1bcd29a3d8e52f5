/** From the configuration to how the services of a cluster are reached. */
import type { Config } from '../config/config.ts'
import type { PostgresAccess } from '../control/postgres-database.ts'
import { WeirError } from '../errors/errors.ts'
import type { KafkaAccess, KafkaSasl } from '../kafka/kafka.ts'

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

/** Registry and hot storage are in one schema. Errors: CONFIG_VALUE_INVALID. */
export function postgresAccess({ postgres }: Config): PostgresAccess {
  if (postgres.url === '') {
    throw wrong('postgres.url: a cluster needs it (or the variable WEIR_POSTGRES_URL)')
  }
  return { url: postgres.url, schema: postgres.schema }
}
