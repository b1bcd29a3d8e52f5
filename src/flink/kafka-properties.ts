/** From how we reach Kafka to what its Java client, inside of Flink's connector, is told. */
import type { KafkaAccess } from '../kafka/kafka.ts'

/** The connector has Kafka's classes under names of its own. */
const MODULES = 'org.apache.flink.kafka.shaded.org.apache.kafka.common.security'

/** Contents of the files that the access names, PEM. */
export interface Certificates {
  ca?: string | undefined
  cert?: string | undefined
  key?: string | undefined
}

/** Certificates travel as texts, so that no file has to be where Flink runs. */
export function kafkaProperties(
  { brokers, sasl, tls }: KafkaAccess,
  { ca, cert, key }: Certificates = {},
): Record<string, string> {
  const protocol = `${sasl === undefined ? '' : 'SASL_'}${tls === undefined ? 'PLAINTEXT' : 'SSL'}`
  return {
    'bootstrap.servers': brokers.join(','),
    ...(protocol !== 'PLAINTEXT' && { 'security.protocol': protocol }),
    ...(sasl !== undefined && {
      'sasl.mechanism': sasl.mechanism,
      'sasl.jaas.config':
        `${MODULES}.${sasl.mechanism === 'PLAIN' ? 'plain.Plain' : 'scram.Scram'}LoginModule ` +
        `required username=${quote(sasl.username)} password=${quote(sasl.password)};`,
    }),
    ...(ca !== undefined && { 'ssl.truststore.type': 'PEM', 'ssl.truststore.certificates': ca }),
    ...(cert !== undefined &&
      key !== undefined && {
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.certificate.chain': cert,
        'ssl.keystore.key': key,
      }),
  }
}

const quote = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`
