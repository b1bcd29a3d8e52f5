/** SNS and SQS as moto plays them, in a folder of its own: a server for tests only. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../bench/peers.ts'
import { findProgram, launch } from './process.ts'
import { installPythonPackages } from './python-packages.ts'
import type { Recipe } from './recipe.ts'

const VERSION = '5.2.5'
/** What its server needs for these two; `moto[server]` would be all of AWS, and 320 MB on disk. */
const PACKAGES = [`moto==${VERSION}`, 'flask==3.1.2', 'flask-cors==6.0.1']
const folderOf = (cache: string): string => join(cache, `moto-${VERSION}`)

export const MOTO: Recipe = {
  name: 'moto',
  missing() {
    return findProgram('python3') === undefined ? 'python3 is not installed' : undefined
  },
  install(cache, say) {
    const folder = folderOf(cache)
    if (existsSync(join(folder, 'complete'))) return
    say(`moto ${VERSION}: 30 MB by pip`)
    installPythonPackages(folder, PACKAGES)
  },
  async start({ cache, data }, { launched }) {
    const port = await freePort()
    launched(
      launch({
        command: join(folderOf(cache), 'bin', 'moto_server'),
        parameters: ['-H', '127.0.0.1', '-p', String(port)],
        log: join(data, 'moto.log'),
        // It records requests when a test asks for it, as the only way to read an SMS.
        environment: { MOTO_RECORDER_FILEPATH: join(data, 'moto-requests') },
      }),
    )
    return { endpoint: `http://127.0.0.1:${port}` }
  },
  async answers({ endpoint = '' }) {
    const signal = AbortSignal.timeout(5000)
    return fetch(`${endpoint}/moto-api/`, { signal }).then(
      ({ ok }) => ok,
      () => false,
    )
  },
}
