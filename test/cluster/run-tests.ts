/**
 * `npm run test:cluster`: the suites in two lanes side by side, each with services of its own,
 * since a test kills what another would be using: those of the stream stage, which wait for jobs
 * most of their time, and all others. Services that run already serve the others. What a lane
 * started it stops; a service that cannot be had makes its tests skip.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { install } from './cluster.ts'
import { buildJar, missingTool } from './flink-fixture.ts'

const STREAM_SERVICES = ['kafka', 'postgres', 'flink', 'redis']
const STREAM_TESTS = /^(alerts|faults|flink.*|grow|roles)\.test\.ts$/

const folder = fileURLToPath(new URL('.', import.meta.url))
const files = readdirSync(folder).filter((name) => name.endsWith('.test.ts'))
const ofStream = files.filter((name) => STREAM_TESTS.test(name)).map((name) => folder + name)
ofStream.push(fileURLToPath(new URL('../conformance/engines/flink.test.ts', import.meta.url)))
const others = files.filter((name) => !STREAM_TESTS.test(name)).map((name) => folder + name)

install((line) => console.log(line))
// Once for all: each build takes some seconds.
if (missingTool() === undefined) process.env['WEIR_FLINK_JAR_BUILT'] = buildJar()
const state = mkdtempSync(join(tmpdir(), 'weir-cluster-state-'))
try {
  const codes = await Promise.all([
    runLane(others, { services: [], isShown: true }),
    runLane(ofStream, {
      ...{ services: STREAM_SERVICES, isShown: false },
      environment: { WEIR_CLUSTER_STATE: join(state, 'cluster.json') },
    }),
  ])
  process.exitCode = codes.every((code) => code === 0) ? 0 : 1
} finally {
  rmSync(state, { recursive: true })
}

/** What is not shown as it comes is shown at the end. Resolves to its exit code. */
async function runLane(
  tests: readonly string[],
  of: { services: readonly string[]; isShown: boolean; environment?: NodeJS.ProcessEnv },
): Promise<number | null> {
  const lane = fileURLToPath(new URL('run-lane.ts', import.meta.url))
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', lane, of.services.join(','), ...tests],
    {
      env: { ...process.env, ...of.environment },
      stdio: of.isShown ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    },
  )
  const said: Buffer[] = []
  for (const output of [child.stdout, child.stderr])
    output?.on('data', (bytes: Buffer) => said.push(bytes))
  const [code] = (await once(child, 'close')) as [number | null]
  process.stdout.write(Buffer.concat(said))
  return code
}
