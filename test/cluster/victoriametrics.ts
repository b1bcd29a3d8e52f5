/** VictoriaMetrics as Debian packages it; readings of one millisecond and value are kept once. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../bench/peers.ts'
import { createPassword, findProgram, launch } from './process.ts'
import type { Recipe } from './recipe.ts'

export const VICTORIA_METRICS: Recipe = {
  name: 'victoriametrics',
  missing() {
    const found = findProgram('victoria-metrics')
    return found === undefined ? 'victoria-metrics is not installed' : undefined
  },
  install() {},
  async start({ data }, { launched }) {
    const folder = join(data, 'victoriametrics')
    mkdirSync(folder, { recursive: true })
    const port = await freePort()
    const password = createPassword()
    launched(
      launch({
        command: 'victoria-metrics',
        parameters: [
          ...[`-httpListenAddr=127.0.0.1:${port}`, `-storageDataPath=${folder}`],
          ...[
            '-retentionPeriod=100y',
            '-dedup.minScrapeInterval=1ms',
            '-memory.allowedBytes=200MB',
          ],
          ...['-httpAuth.username=weir', '-envflag.enable'],
        ],
        // Not among the parameters, which every user of the machine can read.
        environment: { 'httpAuth.password': password, httpAuth_password: password },
        log: join(data, 'victoriametrics.log'),
      }),
    )
    return { url: `http://127.0.0.1:${port}`, username: 'weir', password }
  },
  async answers({ url = '', username = '', password = '' }) {
    const headers = { authorization: `Basic ${btoa(`${username}:${password}`)}` }
    try {
      const signal = AbortSignal.timeout(5000)
      return (await fetch(`${url}/api/v1/labels`, { headers, signal })).ok
    } catch {
      return false
    }
  },
}
