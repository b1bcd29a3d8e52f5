/**
 * Trino, a coordinator that does all the work itself, with Hive tables over files: the catalog
 * `hive` over a folder, and `lake` over MinIO where that runs already.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../bench/peers.ts'
import { execute, findProgram, launch } from './process.ts'
import type { Access, Recipe } from './recipe.ts'

const VERSION = '476'
const JAVA_MIN = 24
const JVM_FOLDER = '/usr/lib/jvm'
const PLUGIN = 'hive'

const programFolder = (cache: string): string => join(cache, `trino-${VERSION}`)

/** A Java that is new enough, as Debian and Adoptium lay them out. */
function findJava(): string | undefined {
  if (!existsSync(JVM_FOLDER)) return undefined
  const home = readdirSync(JVM_FOLDER).find((name) => {
    const release = join(JVM_FOLDER, name, 'release')
    if (!existsSync(release)) return false
    const [, major] = /JAVA_VERSION="(\d+)/.exec(readFileSync(release, 'utf8')) ?? []
    return Number(major) >= JAVA_MIN
  })
  return home === undefined ? undefined : join(JVM_FOLDER, home, 'bin', 'java')
}

export const TRINO: Recipe = {
  name: 'trino',
  isOnlyByName: true,
  missing() {
    if (findJava() === undefined) return `Java ${JAVA_MIN} or later is not in ${JVM_FOLDER}`
    return findProgram('mvn') === undefined ? 'mvn is not installed' : undefined
  },
  install(cache, say) {
    const folder = programFolder(cache)
    if (existsSync(join(folder, 'complete'))) return
    say(`Trino ${VERSION}: 820 MB by Maven`)
    mkdirSync(folder, { recursive: true })
    execute('mvn', [
      ...['-q', '-B', 'org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy'],
      ...[`-Dartifact=io.trino:trino-server:${VERSION}:tar.gz`, `-DoutputDirectory=${folder}`],
    ])
    const archive = join(folder, `trino-server-${VERSION}.tar.gz`)
    // All of it: the archive's plugins share their files by hard links to whichever came first.
    execute('tar', ['-xzf', archive, '-C', folder, '--strip-components=1'])
    for (const plugin of readdirSync(join(folder, 'plugin'))) {
      if (plugin !== PLUGIN) rmSync(join(folder, 'plugin', plugin), { recursive: true })
    }
    rmSync(archive)
    writeFileSync(join(folder, 'complete'), '')
  },
  async start({ cache, data }, { launched, accessOf }) {
    const folder = join(data, 'trino')
    const files = join(folder, 'files')
    const catalogs = join(folder, 'catalogs')
    for (const one of [files, catalogs]) mkdirSync(one, { recursive: true })
    const port = await freePort()
    const program = programFolder(cache)
    const configuration = join(folder, 'config.properties')
    writeProperties(configuration, {
      coordinator: true,
      'node-scheduler.include-coordinator': true,
      'http-server.http.port': port,
      'node.internal-address': '127.0.0.1',
      'node.bind-ip': '127.0.0.1',
      'discovery.uri': `http://127.0.0.1:${port}`,
      'catalog.config-dir': catalogs,
      'plugin.dir': join(program, 'plugin'),
      'query.max-memory': '512MB',
      'query.max-memory-per-node': '512MB',
    })
    writeProperties(join(catalogs, 'hive.properties'), hiveOver(files))
    const minio = accessOf('minio')
    if (minio !== undefined)
      writeProperties(join(catalogs, 'lake.properties'), lakeOver(minio, files))
    launched(
      launch({
        command: findJava()!,
        parameters: [
          ...['-Xmx2g', '-XX:+ExitOnOutOfMemoryError', '-Djdk.attach.allowAttachSelf=true'],
          ...['--add-modules=jdk.incubator.vector', '--enable-native-access=ALL-UNNAMED'],
          ...['--sun-misc-unsafe-memory-access=allow', `-Dnode.id=${randomUUID()}`],
          ...['-Dnode.environment=weir', `-Dnode.data-dir=${folder}`, `-Dconfig=${configuration}`],
          ...['-cp', join(program, 'lib', '*'), 'io.trino.server.TrinoServer'],
        ],
        log: join(data, 'trino.log'),
      }),
    )
    const catalogNames = minio === undefined ? 'hive' : 'hive,lake'
    return { url: `http://127.0.0.1:${port}`, files, catalogs: catalogNames }
  },
  async answers({ url = '' }) {
    try {
      const answer = await fetch(`${url}/v1/info`, { signal: AbortSignal.timeout(5000) })
      return answer.ok && !((await answer.json()) as { starting: boolean }).starting
    } catch {
      return false
    }
  },
}

const TABLES = {
  'connector.name': 'hive',
  'hive.metastore': 'file',
  'hive.metastore.disable-location-checks': true,
  'hive.non-managed-table-writes-enabled': true,
  'hive.timestamp-precision': 'MICROSECONDS',
}

/** `local:///x` is the folder's file x. */
const hiveOver = (files: string) => ({
  ...TABLES,
  'hive.metastore.catalog.dir': 'local:///metastore',
  'fs.native-local.enabled': true,
  'local.location': files,
})

const lakeOver = (minio: Access, files: string) => ({
  ...hiveOver(files),
  'hive.metastore.catalog.dir': 'local:///lake-metastore',
  'fs.native-s3.enabled': true,
  's3.endpoint': minio['endpoint'],
  's3.region': 'us-east-1',
  's3.path-style-access': true,
  's3.aws-access-key': minio['accessKey'],
  's3.aws-secret-key': minio['secretKey'],
})

function writeProperties(path: string, properties: Record<string, unknown>): void {
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${String(value)}\n`)
  writeFileSync(path, lines.join(''), { mode: 0o600 })
}
