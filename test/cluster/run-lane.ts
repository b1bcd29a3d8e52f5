/**
 * `node run-lane.ts SERVICE,… FILE…`: starts these services, without names all, as far as they do
 * not run, runs these test files one after the other, and stops what it started.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessOf, down, SERVICES, up } from './cluster.ts'

const [, , names = '', ...files] = process.argv
const say = (line: string): void => console.log(line)
const before = SERVICES.filter((name) => accessOf(name) !== undefined)
let status: number | null = 1
try {
  const wanted = names.split(',').filter((name) => name !== '')
  for (const [name, reason] of await up(wanted, { brokers: 1, say }))
    say(`${name} is left out: ${reason}`)
  // Not spawnSync: a service that a test kills is a child of this process, which must hear of it.
  const child = spawn(
    process.execPath,
    [
      ...['--disable-warning=ExperimentalWarning', '--test', '--test-reporter=spec'],
      // One file kills what another would be using.
      ...['--test-concurrency=1', '--test-timeout=300000', ...files],
    ],
    { stdio: 'inherit' },
  )
  const [code] = (await once(child, 'close')) as [number | null]
  status = code
} finally {
  const started = SERVICES.filter((name) => !before.includes(name) && accessOf(name) !== undefined)
  if (started.length > 0) await down(started, say)
}
process.exitCode = status ?? 1
