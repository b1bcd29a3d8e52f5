/**
 * Kafka in KRaft mode without its scripts: the jars from Maven Central, started by plain `java`.
 * One broker, or three of which each is a controller too, with two in-sync replicas to acknowledge.
 * Each listens three times: open, with a password, and by TLS with a certificate of its own.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../bench/peers.ts'
import { answers, createPassword, execute, findProgram, launch } from './process.ts'
import type { Access, Recipe } from './recipe.ts'

const VERSION = '4.3.1'
const JARS: readonly [string, string][] = [
  ['org.apache.kafka:kafka_2.13', VERSION],
  ['org.apache.kafka:kafka-tools', VERSION],
  ['org.apache.logging.log4j:log4j-slf4j-impl', '2.25.4'],
]
const USER = 'weir'
/** A broker that dies is noticed after this long; the default is 9 s. */
const BROKER_SESSION_MS = 3000

interface Broker {
  id: number
  port: number
  passwordPort: number
  tlsPort: number
  controllerPort: number
  directoryId: string
  folder: string
}

const jarFolder = (cache: string): string => join(cache, `kafka-${VERSION}`)

export const KAFKA: Recipe = {
  name: 'kafka',
  missing() {
    for (const program of ['java', 'keytool', 'mvn']) {
      if (findProgram(program) === undefined) return `${program} is not installed`
    }
    return undefined
  },
  install(cache, say) {
    const folder = jarFolder(cache)
    if (existsSync(join(folder, 'complete'))) return
    say(`Kafka ${VERSION}: about 60 MB of jars by Maven`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'pom.xml'), pom())
    execute('mvn', [
      ...['-q', '-B', '-f', join(folder, 'pom.xml'), 'dependency:copy-dependencies'],
      ...['-DincludeScope=runtime', `-DoutputDirectory=${join(folder, 'lib')}`],
    ])
    writeFileSync(join(folder, 'complete'), '')
  },
  async start(places, { brokers: count, launched }) {
    const brokers: Broker[] = []
    for (let id = 1; id <= count; id++) {
      const folder = join(places.data, `kafka-${id}`)
      mkdirSync(folder, { recursive: true })
      const directoryId = randomId()
      const [port, passwordPort] = [await freePort(), await freePort()]
      const [tlsPort, controllerPort] = [await freePort(), await freePort()]
      brokers.push({ id, folder, directoryId, port, passwordPort, tlsPort, controllerPort })
    }
    const clusterId = randomId()
    const secrets = createSecrets(places.data)
    const heap = count === 1 ? '-Xmx1g' : '-Xmx768m'
    for (const broker of brokers) {
      const properties = join(broker.folder, 'server.properties')
      const text = propertiesOf(broker, brokers) + doorsOf(secrets)
      writeFileSync(properties, text, { mode: 0o600 })
      const javaOf = (main: string): string[] => ['-cp', `${jarFolder(places.cache)}/lib/*`, main]
      execute('java', [
        ...javaOf('kafka.tools.StorageTool'),
        ...['format', '-t', clusterId, '-c', properties],
        ...['--initial-controllers', brokers.map(controllerOf).join(',')],
        ...['--add-scram', `SCRAM-SHA-256=[name=${USER},password=${secrets.password}]`],
        ...['--add-scram', `SCRAM-SHA-512=[name=${USER},password=${secrets.password}]`],
      ])
      launched(
        launch({
          command: 'java',
          parameters: [heap, ...javaOf('kafka.Kafka'), properties],
          log: join(broker.folder, 'output.log'),
        }),
      )
    }
    return {
      brokers: addressesOf(brokers.map(({ port }) => port)),
      saslBrokers: addressesOf(brokers.map(({ passwordPort }) => passwordPort)),
      saslUsername: USER,
      saslPassword: secrets.password,
      tlsBrokers: addressesOf(brokers.map(({ tlsPort }) => tlsPort)),
      tlsCaFile: secrets.certificate,
    }
  },
  async answers({ brokers = '', saslBrokers = '', tlsBrokers = '' }: Access) {
    const addresses = [brokers, saslBrokers, tlsBrokers].join(',').split(',')
    const ports = addresses.map((address) => Number(address.split(':')[1]))
    return (await Promise.all(ports.map((port) => answers(port)))).every(Boolean)
  },
}

const addressesOf = (ports: readonly number[]): string =>
  ports.map((port) => `127.0.0.1:${port}`).join(',')

interface Secrets {
  /** Of the user, and of the key store. */
  password: string
  /** Files: the brokers' key, and the certificate that goes with it, signed by itself. */
  keyStore: string
  certificate: string
}

function createSecrets(folder: string): Secrets {
  const password = createPassword()
  const keyStore = join(folder, 'kafka.p12')
  const certificate = join(folder, 'kafka.pem')
  const store = ['-alias', 'kafka', '-keystore', keyStore, '-storepass', password]
  execute('keytool', [
    ...['-genkeypair', ...store, '-storetype', 'PKCS12', '-keyalg', 'RSA', '-keysize', '2048'],
    ...['-validity', '30', '-dname', 'CN=Weir test', '-ext', 'SAN=IP:127.0.0.1'],
  ])
  execute('keytool', ['-exportcert', '-rfc', ...store, '-file', certificate])
  return { password, keyStore, certificate }
}

/** The two listeners that ask who is there, or show who they are. */
function doorsOf({ password, keyStore }: Secrets): string {
  const prefix = 'listener.name.sasl_plaintext'
  const modules = 'org.apache.kafka.common.security'
  const scram = `${modules}.scram.ScramLoginModule required;`
  return textOf({
    [`${prefix}.sasl.enabled.mechanisms`]: 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    [`${prefix}.plain.sasl.jaas.config`]: `${modules}.plain.PlainLoginModule required user_${USER}="${password}";`,
    [`${prefix}.scram-sha-256.sasl.jaas.config`]: scram,
    [`${prefix}.scram-sha-512.sasl.jaas.config`]: scram,
    'listener.name.ssl.ssl.keystore.location': keyStore,
    'listener.name.ssl.ssl.keystore.password': password,
    'listener.name.ssl.ssl.keystore.type': 'PKCS12',
  })
}

const textOf = (properties: Record<string, string | number | boolean>): string =>
  Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')

/** Kafka's own form of a UUID. */
const randomId = (): string => {
  const bytes = randomBytes(16)
  // Never the form of a command line option.
  bytes[0]! &= 0x7f
  return bytes.toString('base64url')
}

const controllerOf = ({ id, controllerPort, directoryId }: Broker): string =>
  `${id}@127.0.0.1:${controllerPort}:${directoryId}`

function propertiesOf(broker: Broker, brokers: readonly Broker[]): string {
  const { id, folder } = broker
  const replicas = brokers.length
  const inSync = Math.max(1, replicas - 1)
  const servers = brokers.map((one) => `127.0.0.1:${one.controllerPort}`).join(',')
  const listeners = {
    PLAINTEXT: broker.port,
    SASL_PLAINTEXT: broker.passwordPort,
    SSL: broker.tlsPort,
    CONTROLLER: broker.controllerPort,
  }
  return textOf({
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.bootstrap.servers': servers,
    listeners: Object.entries(listeners)
      .map(([name, port]) => `${name}://127.0.0.1:${port}`)
      .join(','),
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map':
      'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL',
    'log.dirs': join(folder, 'data'),
    'auto.create.topics.enable': false,
    'default.replication.factor': replicas,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'group.initial.rebalance.delay.ms': 0,
    'broker.session.timeout.ms': BROKER_SESSION_MS,
    'broker.heartbeat.interval.ms': BROKER_SESSION_MS / 6,
  })
}

function pom(): string {
  const dependencies = JARS.map(([name, version]) => {
    const [group, artifact] = name.split(':')
    return `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`
  })
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>weir</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${dependencies.join('\n')}</dependencies></project>
`
}
