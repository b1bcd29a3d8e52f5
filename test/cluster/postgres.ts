/** PostgreSQL as Debian packages it, with a data folder, a port and a password of its own. */
import { chownSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { freePort } from '../../bench/peers.ts'
import { createPassword, execute, findProgram, launch } from './process.ts'
import type { Recipe } from './recipe.ts'

const DEBIAN_FOLDER = '/usr/lib/postgresql'

/** The newest version's programs come first. */
function find(program: string): string | undefined {
  let versions: string[] = []
  try {
    versions = readdirSync(DEBIAN_FOLDER).toSorted((a, b) => Number(b) - Number(a))
  } catch {
    // Not a Debian: PATH alone.
  }
  return findProgram(
    program,
    versions.map((version) => join(DEBIAN_FOLDER, version, 'bin')),
  )
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const idOf = (what: string): number => Number(execute('id', [what, 'postgres']))
  return { uid: idOf('-u'), gid: idOf('-g') }
}

/**
 * What decides how fast rows go in; docs/decisions/0010-rows-in-postgresql.md has the figures. The
 * pages that rows are appended to must stay in memory, and a checkpoint must be rare: the first
 * touch of each page after it writes the whole page to the WAL.
 */
const TUNING: Readonly<Record<string, string>> = {
  shared_buffers: '1GB',
  max_wal_size: '8GB',
  checkpoint_timeout: '15min',
  wal_compression: 'lz4',
}

export const POSTGRES: Recipe = {
  name: 'postgres',
  missing() {
    return find('initdb') === undefined ? 'postgresql is not installed' : undefined
  },
  install() {},
  async start({ data }, { launched }) {
    const folder = join(data, 'postgres')
    mkdirSync(folder, { recursive: true })
    const user = unprivileged()
    if (user !== undefined) chownSync(folder, user.uid, user.gid)
    const password = createPassword()
    const passwordFile = join(folder, 'password')
    writeFileSync(passwordFile, password, { mode: 0o600 })
    if (user !== undefined) chownSync(passwordFile, user.uid, user.gid)
    const store = join(folder, 'data')
    execute(
      find('initdb')!,
      [
        ...['-D', store, '-U', 'weir', '-E', 'UTF8', '--locale=C', '--data-checksums'],
        ...['--auth=scram-sha-256', `--pwfile=${passwordFile}`],
      ],
      { user, cwd: folder },
    )
    const port = await freePort()
    const started = launch({
      command: find('postgres')!,
      parameters: [
        ...['-D', store, '-p', String(port), '-k', folder],
        ...['-c', 'listen_addresses=127.0.0.1', '-c', 'max_connections=200'],
        ...Object.entries(TUNING).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      log: join(data, 'postgres.log'),
      user,
    })
    launched(started)
    return { url: `postgresql://weir:${password}@127.0.0.1:${port}/postgres` }
  },
  async answers({ url = '' }) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 })
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.query('SELECT 1')
      return true
    } catch {
      return false
    } finally {
      await client.end().catch(() => undefined)
    }
  },
}
