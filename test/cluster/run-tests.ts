/**
 * `npm run test:cluster`: starts the services that the suites need and that do not run, runs the
 * suites, and stops what it started. A service that cannot be had makes its tests skip.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { accessOf, down, SERVICES, up } from './cluster.ts'
import { buildJar, missingTool } from './flink-fixture.ts'

const say = (line: string): void => console.log(line)
const before = SERVICES.filter((name) => accessOf(name) !== undefined)
let status: number | null = 1
try {
  const options = { brokers: 1, say }
  for (const [name, reason] of await up([], options)) say(`${name} is left out: ${reason}`)
  // Once for all: each build takes some seconds.
  if (missingTool() === undefined) process.env['WEIR_CLUSTER_JAR'] = buildJar()
  // Not spawnSync: a service that a test kills is a child of this process, which must hear of it.
  const child = spawn(
    process.execPath,
    [
      ...['--disable-warning=ExperimentalWarning', '--test', '--test-reporter=spec'],
      // One file kills what another would be using.
      ...['--test-concurrency=1', '--test-timeout=300000'],
      fileURLToPath(new URL('*.test.ts', import.meta.url)),
      fileURLToPath(new URL('../conformance/engines/flink.test.ts', import.meta.url)),
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
