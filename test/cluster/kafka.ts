/**
 * Kafka in KRaft mode without its scripts: the jars from Maven Central, started by plain `java`.
 * One broker, or three of which each is a controller too, with two in-sync replicas to acknowledge.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../bench/peers.ts'
import { answers, execute, findProgram, launch } from './process.ts'
import type { Recipe } from './recipe.ts'

const VERSION = '4.3.1'
const JARS: readonly [string, string][] = [
  ['org.apache.kafka:kafka_2.13', VERSION],
  ['org.apache.kafka:kafka-tools', VERSION],
  ['org.apache.logging.log4j:log4j-slf4j-impl', '2.25.4'],
]
/** A broker that dies is noticed after this long; the default is 9 s. */
const BROKER_SESSION_MS = 3000

interface Broker {
  id: number
  port: number
  controllerPort: number
  directoryId: string
  folder: string
}

const jarFolder = (cache: string): string => join(cache, `kafka-${VERSION}`)

export const KAFKA: Recipe = {
  name: 'kafka',
  missing() {
    for (const program of ['java', 'mvn']) {
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
      brokers.push({
        ...{ id, folder, directoryId, port: await freePort(), controllerPort: await freePort() },
      })
    }
    const clusterId = randomId()
    const heap = count === 1 ? '-Xmx1g' : '-Xmx768m'
    for (const broker of brokers) {
      const properties = join(broker.folder, 'server.properties')
      writeFileSync(properties, propertiesOf(broker, brokers))
      const javaOf = (main: string): string[] => ['-cp', `${jarFolder(places.cache)}/lib/*`, main]
      execute('java', [
        ...javaOf('kafka.tools.StorageTool'),
        ...['format', '-t', clusterId, '-c', properties],
        ...['--initial-controllers', brokers.map(controllerOf).join(',')],
      ])
      launched(
        launch({
          command: 'java',
          parameters: [heap, ...javaOf('kafka.Kafka'), properties],
          log: join(broker.folder, 'output.log'),
        }),
      )
    }
    return { brokers: brokers.map(({ port }) => `127.0.0.1:${port}`).join(',') }
  },
  async answers({ brokers = '' }) {
    const ports = brokers.split(',').map((broker) => Number(broker.split(':')[1]))
    return (await Promise.all(ports.map((port) => answers(port)))).every(Boolean)
  },
}

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
  const { id, port, controllerPort, folder } = broker
  const replicas = brokers.length
  const inSync = Math.max(1, replicas - 1)
  const servers = brokers.map((one) => `127.0.0.1:${one.controllerPort}`).join(',')
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.bootstrap.servers': servers,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
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
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
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
