/** QuestDB: one jar from Maven Central, started by plain `java`. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../bench/peers.ts'
import { createPassword, execute, findProgram, launch } from './process.ts'
import type { Recipe } from './recipe.ts'

const VERSION = '9.3.4'
const jarFolder = (cache: string): string => join(cache, `questdb-${VERSION}`)

export const QUESTDB: Recipe = {
  name: 'questdb',
  missing() {
    for (const program of ['java', 'mvn']) {
      if (findProgram(program) === undefined) return `${program} is not installed`
    }
    return undefined
  },
  install(cache, say) {
    const folder = jarFolder(cache)
    if (existsSync(join(folder, 'complete'))) return
    say(`QuestDB ${VERSION}: 30 MB by Maven`)
    mkdirSync(folder, { recursive: true })
    execute('mvn', [
      ...['-q', '-B', 'org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy'],
      ...[`-Dartifact=org.questdb:questdb:${VERSION}`, `-DoutputDirectory=${folder}`],
    ])
    writeFileSync(join(folder, 'complete'), '')
  },
  async start({ cache, data }, { launched }) {
    const folder = join(data, 'questdb')
    mkdirSync(join(folder, 'conf'), { recursive: true })
    const port = await freePort()
    const password = createPassword()
    const configuration = propertiesOf({ port, password })
    writeFileSync(join(folder, 'conf', 'server.conf'), configuration, { mode: 0o600 })
    const jar = join(jarFolder(cache), `questdb-${VERSION}.jar`)
    launched(
      launch({
        command: 'java',
        parameters: [
          ...['-Xmx512m', '--add-exports', 'java.base/jdk.internal.math=ALL-UNNAMED'],
          ...['--add-opens', 'java.base/java.lang=ALL-UNNAMED', '-p', jar],
          ...['-m', 'io.questdb/io.questdb.ServerMain', '-d', folder, '-n'],
        ],
        log: join(data, 'questdb.log'),
      }),
    )
    return { url: `http://127.0.0.1:${port}`, username: 'weir', password }
  },
  async answers({ url = '', username = '', password = '' }) {
    const headers = { authorization: `Basic ${btoa(`${username}:${password}`)}` }
    const question = `${url}/exec?query=${encodeURIComponent('SELECT 1')}`
    try {
      return (await fetch(question, { headers, signal: AbortSignal.timeout(5000) })).ok
    } catch {
      return false
    }
  },
}

function propertiesOf({ port, password }: { port: number; password: string }): string {
  return `http.bind.to=127.0.0.1:${port}
http.min.enabled=false
http.user=weir
http.password=${password}
pg.enabled=false
line.tcp.enabled=false
line.udp.enabled=false
telemetry.enabled=false
shared.worker.count=1
`
}
