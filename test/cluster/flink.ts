/**
 * Flink without its scripts: a JobManager, a TaskManager with three slots and a SQL Gateway, each
 * by plain `java`. The distribution is the one that PyPI has for PyFlink (a wheel is a zip with
 * `lib/` in it); the gateway and the connectors come from Maven Central, each without what it
 * depends on, which the distribution has. Whoever reaches the JobManager or the gateway runs code
 * with it, so all listen on loopback only.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../bench/peers.ts'
import { execute, findProgram, launch } from './process.ts'
import type { Access, Recipe } from './recipe.ts'

const VERSION = '2.3.0'
/** Of these the gateway alone needs the first two; the others are for jobs. */
const GATEWAY_JARS = [
  ['flink-sql-gateway', VERSION],
  ['flink-sql-gateway-api', VERSION],
] as const
const JOB_JARS = [
  ['flink-sql-connector-kafka', '5.0.0-2.2'],
  ['flink-sql-avro', VERSION],
] as const
/** What Flink 2.3 runs on. */
const [JAVA_MIN, JAVA_MAX] = [17, 21]
/** One more than a job uses by itself, so that another number can be tried. */
const SLOTS = 3
const PARALLELISM = 2

const programFolder = (cache: string): string => join(cache, `flink-${VERSION}`)

export const FLINK: Recipe = {
  name: 'flink',
  missing() {
    for (const program of ['java', 'mvn', 'python3']) {
      if (findProgram(program) === undefined) return `${program} is not installed`
    }
    const version = javaVersion()
    if (version >= JAVA_MIN && version <= JAVA_MAX) return undefined
    return `Java ${JAVA_MIN} to ${JAVA_MAX} is needed, and \`java\` is ${version}`
  },
  install(cache, say) {
    const folder = programFolder(cache)
    if (existsSync(join(folder, 'complete'))) return
    say(`Flink ${VERSION}: 330 MB by pip, 16 MB by Maven`)
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    installDistribution(folder)
    for (const [name, jars] of [['gateway', GATEWAY_JARS] as const, ['lib', JOB_JARS] as const]) {
      const pom = join(folder, `${name}.xml`)
      writeFileSync(pom, pomOf(name, jars))
      execute('mvn', [
        ...['-q', '-B', '-f', pom, 'dependency:copy-dependencies'],
        ...['-DincludeScope=runtime', `-DoutputDirectory=${join(folder, name)}`],
      ])
    }
    writeFileSync(join(folder, 'complete'), '')
  },
  async start({ cache, data }, { launched }) {
    const program = programFolder(cache)
    const configuration = join(data, 'conf')
    const checkpoints = join(data, 'checkpoints')
    for (const one of [configuration, checkpoints]) mkdirSync(one, { recursive: true })
    const [rpcPort, restPort] = [await freePort(), await freePort()]
    const gatewayPort = await freePort()
    const settings = settingsOf({ rpcPort, restPort, gatewayPort, checkpoints, data })
    writeFileSync(join(configuration, 'config.yaml'), settings)
    writeFileSync(join(configuration, 'log4j.properties'), LOGGING)
    const run = (name: keyof typeof PROCESSES): void => {
      const { jars, memory, main } = PROCESSES[name]
      launched(
        launch({
          command: 'java',
          parameters: [
            ...memory,
            ...MODULES,
            `-Dlog4j.configurationFile=file:${join(configuration, 'log4j.properties')}`,
            ...['-cp', jars.map((folder) => join(program, folder, '*')).join(':')],
            ...main.map((word) => (word === 'CONF' ? configuration : word)),
          ],
          log: join(data, `${name}.log`),
          environment: {
            FLINK_CONF_DIR: configuration,
            FLINK_LIB_DIR: join(program, 'lib'),
            FLINK_PLUGINS_DIR: join(program, 'plugins'),
            FLINK_OPT_DIR: join(program, 'opt'),
          },
        }),
      )
    }
    run('jobmanager')
    run('taskmanager')
    run('gateway')
    const [rest, gateway] = [restPort, gatewayPort].map((port) => `http://127.0.0.1:${port}`)
    return { rest: rest!, gateway: gateway!, checkpoints }
  },
  /** Ready is: every slot is offered, and the gateway says who it is. */
  async answers({ rest = '', gateway = '' }: Access) {
    try {
      const overview = await ask<{ 'slots-total': number }>(`${rest}/overview`)
      await ask(`${gateway}/v1/info`)
      return overview['slots-total'] === SLOTS
    } catch {
      return false
    }
  },
}

async function ask<T>(url: string): Promise<T> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(5000) })
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`)
  return (await answer.json()) as T
}

/** 17 of `openjdk 17.0.15 2025-04-15`; 0 of a Java that is too old to be asked. */
function javaVersion(): number {
  try {
    return Number(/^\S+ (\d+)/.exec(execute('java', ['--version']))?.[1] ?? 0)
  } catch {
    return 0
  }
}

/** Leaves `lib/` of the wheel in the folder, and the empty folders that Flink looks for. */
function installDistribution(folder: string): void {
  const work = join(folder, 'download')
  const python = join(work, 'bin', 'python')
  execute('python3', ['-m', 'venv', work])
  execute(python, [
    ...['-m', 'pip', 'download', '-q', '--disable-pip-version-check', '--no-deps'],
    ...['-d', work, `apache-flink-libraries==${VERSION}`],
  ])
  const wheel = readdirSync(work).find((name) => name.endsWith('.whl'))!
  execute(python, ['-m', 'zipfile', '-e', join(work, wheel), work])
  renameSync(join(work, 'pyflink', 'lib'), join(folder, 'lib'))
  for (const name of ['plugins', 'opt']) mkdirSync(join(folder, name))
  rmSync(work, { recursive: true })
}

function pomOf(name: string, jars: readonly (readonly [string, string])[]): string {
  const dependencies = jars.map(
    ([artifact, version]) => `<dependency><groupId>org.apache.flink</groupId>
<artifactId>${artifact}</artifactId><version>${version}</version><exclusions><exclusion>
<groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>`,
  )
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>weir</groupId><artifactId>flink-${name}</artifactId><version>1</version>
<packaging>pom</packaging><dependencies>${dependencies.join('\n')}</dependencies></project>
`
}

/** As in the `env.java.opts.all` that Flink ships: Java 17 keeps these to itself. */
const MODULES = [
  '--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED',
  '--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED',
  ...['api', 'file', 'parser', 'tree', 'util'].map(
    (name) => `--add-exports=jdk.compiler/com.sun.tools.javac.${name}=ALL-UNNAMED`,
  ),
  ...[
    ...['java.lang', 'java.net', 'java.io', 'java.nio', 'sun.nio.ch', 'java.lang.reflect'],
    ...['java.text', 'java.time', 'java.util', 'java.util.concurrent'],
    ...['java.util.concurrent.atomic', 'java.util.concurrent.locks'],
  ].map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`),
]

/** `-D a=b` for each. */
const dynamic = (settings: Record<string, string | number>): string[] =>
  Object.entries(settings).flatMap(([name, value]) => ['-D', `${name}=${value}`])

/**
 * Flink's start scripts compute each part of a process's memory and tell the JVM and Flink the
 * same; without scripts all parts are given. `CONF` is the configuration's folder.
 */
const PROCESSES = {
  jobmanager: {
    jars: ['lib'],
    memory: ['-Xms64m', '-Xmx384m', '-XX:MaxMetaspaceSize=256m'],
    main: [
      'org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint',
      ...['--configDir', 'CONF'],
      ...dynamic({
        'jobmanager.memory.heap.size': '384m',
        'jobmanager.memory.off-heap.size': '128m',
        'jobmanager.memory.jvm-metaspace.size': '256m',
        'jobmanager.memory.jvm-overhead.min': '192m',
        'jobmanager.memory.jvm-overhead.max': '192m',
      }),
    ],
  },
  taskmanager: {
    jars: ['lib'],
    memory: ['-Xms128m', '-Xmx640m', '-XX:MaxDirectMemorySize=320m', '-XX:MaxMetaspaceSize=256m'],
    main: [
      'org.apache.flink.runtime.taskexecutor.TaskManagerRunner',
      ...['--configDir', 'CONF'],
      ...dynamic({
        'taskmanager.cpu.cores': PARALLELISM,
        // Both are the heap: 640 MB.
        'taskmanager.memory.task.heap.size': '512m',
        'taskmanager.memory.framework.heap.size': '128m',
        // All three are direct memory: 320 MB.
        'taskmanager.memory.framework.off-heap.size': '128m',
        'taskmanager.memory.task.off-heap.size': '64m',
        'taskmanager.memory.network.min': '128m',
        'taskmanager.memory.network.max': '128m',
        'taskmanager.memory.managed.size': '128m',
        'taskmanager.memory.jvm-metaspace.size': '256m',
        'taskmanager.memory.jvm-overhead.min': '192m',
        'taskmanager.memory.jvm-overhead.max': '192m',
      }),
    ],
  },
  gateway: {
    jars: ['lib', 'gateway'],
    memory: ['-Xms64m', '-Xmx512m'],
    main: [
      'org.apache.flink.table.gateway.SqlGateway',
      ...dynamic({ 'execution.target': 'remote' }),
    ],
  },
}

interface Settings {
  rpcPort: number
  restPort: number
  gatewayPort: number
  /** Folders: of checkpoints, and of all that this start keeps. */
  checkpoints: string
  data: string
}

/**
 * Checkpoints stay when a job is cancelled. Idle sources hold no window for more than 2 s, and who
 * died is missed after 8 s.
 */
function settingsOf({ rpcPort, restPort, gatewayPort, checkpoints, data }: Settings): string {
  return `jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: ${rpcPort}
jobmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.numberOfTaskSlots: ${SLOTS}
parallelism.default: ${PARALLELISM}
rest.address: 127.0.0.1
rest.port: ${restPort}
rest.bind-address: 127.0.0.1
sql-gateway.endpoint.rest.address: 127.0.0.1
sql-gateway.endpoint.rest.bind-address: 127.0.0.1
sql-gateway.endpoint.rest.port: ${gatewayPort}
io.tmp.dirs: ${data}
heartbeat.interval: 2000
heartbeat.timeout: 8000
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 1000000
restart-strategy.fixed-delay.delay: 1 s
execution.checkpointing.interval: 3 s
execution.checkpointing.mode: EXACTLY_ONCE
execution.checkpointing.dir: file://${checkpoints}
execution.checkpointing.savepoint-dir: file://${checkpoints}
execution.checkpointing.externalized-checkpoint-retention: RETAIN_ON_CANCELLATION
table.exec.source.idle-timeout: 2 s
table.local-time-zone: UTC
`
}

const LOGGING = `rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %-5p %c - %m%n
`
