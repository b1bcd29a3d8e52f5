/** InfluxDB 1.6 as Debian packages it, with a user of its own and one database. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../bench/peers.ts'
import { createPassword, findProgram, launch } from './process.ts'
import type { Recipe } from './recipe.ts'

/** An index that is in memory alone is what 1.6 begins with; new installations take this one. */
const INDEX = 'tsi1'

export const INFLUXDB: Recipe = {
  name: 'influxdb',
  missing() {
    return findProgram('influxd') === undefined ? 'influxdb is not installed' : undefined
  },
  install() {},
  async start({ data }, { launched }) {
    const folder = join(data, 'influxdb')
    mkdirSync(folder, { recursive: true })
    const [port, backupPort] = [await freePort(), await freePort()]
    const configuration = join(folder, 'influxdb.conf')
    writeFileSync(configuration, configurationOf({ folder, port, backupPort }))
    const parameters = ['run', '-config', configuration]
    launched(launch({ command: 'influxd', parameters, log: join(data, 'influxdb.log') }))
    const url = `http://127.0.0.1:${port}`
    return { url, username: 'weir', password: createPassword(), database: 'weir' }
  },
  /** The first who asks makes the user: InfluxDB lets that one in, and nobody else from then on. */
  async answers({ url = '', username = '', password = '', database = '' }) {
    const ask = async (q: string): Promise<boolean> => {
      const headers = { authorization: `Basic ${btoa(`${username}:${password}`)}` }
      const body = new URLSearchParams({ q })
      const signal = AbortSignal.timeout(5000)
      const answer = await fetch(`${url}/query`, { method: 'POST', body, headers, signal })
      return answer.ok && !(await answer.text()).includes('"error"')
    }
    try {
      if (await ask(`CREATE DATABASE ${database}`)) return true
      const isMade = await ask(
        `CREATE USER ${username} WITH PASSWORD '${password}' WITH ALL PRIVILEGES`,
      )
      return isMade && (await ask(`CREATE DATABASE ${database}`))
    } catch {
      return false
    }
  },
}

function configurationOf(own: { folder: string; port: number; backupPort: number }): string {
  return `reporting-enabled = false
bind-address = "127.0.0.1:${own.backupPort}"
[meta]
  dir = "${join(own.folder, 'meta')}"
[data]
  dir = "${join(own.folder, 'data')}"
  wal-dir = "${join(own.folder, 'wal')}"
  index-version = "${INDEX}"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:${own.port}"
  auth-enabled = true
  log-enabled = false
`
}
