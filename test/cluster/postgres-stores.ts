/** A second PostgreSQL beside the one of the harness, for as long as a test file runs. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { accessOf } from './cluster.ts'
import { POSTGRES } from './postgres.ts'
import { kill, launch, untilReady, type Started } from './process.ts'

export interface SecondPostgres {
  url: string
  /** `kill -9`; its data stays. */
  kill(): Promise<void>
  /** On the same data and port. */
  restart(): Promise<void>
  close(): Promise<void>
}

export async function openSecondPostgres(): Promise<SecondPostgres> {
  const data = mkdtempSync(join(tmpdir(), 'weir-second-postgres-'))
  // The server runs as another user, who must get through to its own folder.
  chmodSync(data, 0o711)
  let processes: Started[] = []
  const close = async (): Promise<void> => {
    await Promise.all(processes.map(kill))
    rmSync(data, { recursive: true, force: true })
  }
  try {
    const access = await POSTGRES.start(
      { cache: data, data },
      { brokers: 0, accessOf, launched: (one) => processes.push(one) },
    )
    const ready = () => untilReady('a second postgres', processes, () => POSTGRES.answers(access))
    await ready()
    return {
      url: access['url']!,
      async kill() {
        await Promise.all(processes.map(kill))
      },
      async restart() {
        processes = processes.map(launch)
        await ready()
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
