/** Redis as Debian packages it: a cache, so nothing is saved. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../bench/peers.ts'
import { answers, createPassword, findProgram, launch } from './process.ts'
import type { Recipe } from './recipe.ts'

export const REDIS: Recipe = {
  name: 'redis',
  missing() {
    return findProgram('redis-server') === undefined ? 'redis-server is not installed' : undefined
  },
  install() {},
  async start({ data }, { launched }) {
    const folder = join(data, 'redis')
    mkdirSync(folder, { recursive: true })
    const port = await freePort()
    const password = createPassword()
    const configuration = join(folder, 'redis.conf')
    const lines = [
      ...[`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, `requirepass ${password}`],
      ...['save ""', 'appendonly no', 'maxmemory 64mb', 'maxmemory-policy allkeys-lru'],
    ]
    writeFileSync(configuration, `${lines.join('\n')}\n`, { mode: 0o600 })
    const log = join(data, 'redis.log')
    const started = launch({ command: 'redis-server', parameters: [configuration], log })
    launched(started)
    return { url: `redis://:${password}@127.0.0.1:${port}` }
  },
  answers({ url = '' }) {
    const { port, password } = new URL(url)
    return answers(Number(port), `AUTH ${password}\r\n`, '+OK')
  },
}
