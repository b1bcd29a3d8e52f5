/** `weir flink`, as somebody types it, from the first submit to the end of the job. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { ERRORS, type ErrorCode } from '../../src/errors/errors.ts'
import { until } from '../system/weir-process.ts'
import {
  buildJar,
  openInstallation,
  skip as skipFlink,
  type Installation,
} from './flink-fixture.ts'
import { ask, skip as skipPostgres, url as postgresUrl } from './postgres-fixture.ts'

const program = fileURLToPath(new URL('../../src/cli/weir.ts', import.meta.url))
const PIPELINE = `
version: 1
windows: [1m]
types:
  pump: { schemas: { 1: { temperature: { unit: °C } } } }
rules:
  - { id: hot, type: pump, when: temperature > 90 }
`

const skip = skipFlink ?? skipPostgres

interface Said {
  status: number | null
  stdout: string
  stderr: string
}

const schemaOf = ({ config }: Installation): string => config.kafka.topicPrefix.replaceAll('-', '_')

/** The command on files of the installation's folder. */
function commandOn(at: Installation): (...words: string[]) => Said {
  const { kafka, flink } = at.config
  const config = join(at.folder, 'cluster.yaml')
  const { brokers, topicPrefix, partitions, replication } = kafka
  const { gatewayUrl, restUrl, jar, name, checkpoints } = flink
  const written = {
    kafka: { brokers, topicPrefix, partitions, replication },
    postgres: { url: postgresUrl, schema: schemaOf(at) },
    flink: { gatewayUrl, restUrl, jar, name, checkpoints, checkpointInterval: '500ms' },
  }
  writeFileSync(config, stringify(written))
  return (...words) =>
    spawnSync(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', program, 'flink', ...words, '--config', config],
      { cwd: at.folder, encoding: 'utf8' },
    )
}

function assertFails({ status, stderr }: Said, code: ErrorCode): void {
  assert.match(stderr, new RegExp(`\\(${code}\\)`))
  assert.equal(status, ERRORS[code].exit)
}

test('a job is submitted, looked at, changed, ended and gone on from', { skip }, async (t) => {
  await using at = await openInstallation(buildJar())
  t.after(() => ask(`DROP SCHEMA ${schemaOf(at)} CASCADE`))
  const weir = commandOn(at)
  const done = (...words: string[]): string => {
    const { status, stdout, stderr } = weir(...words)
    assert.equal(status, 0, stderr)
    return stdout
  }
  const files = { first: PIPELINE, hotter: PIPELINE.replace('90', '95') }
  const other = { ...files, windows: PIPELINE.replace('1m', '2m') }
  for (const [name, text] of Object.entries(other)) writeFileSync(join(at.folder, name), text)
  assertFails(weir('status'), 'FLINK_JOB_ABSENT')
  assertFails(weir('submit', '--pipeline', 'first', '--resume'), 'FLINK_STATE_ABSENT')
  assert.match(done('submit', '--pipeline', 'first'), /^Job [0-9a-f]{32} runs, from the oldest/)
  assertFails(weir('submit', '--pipeline', 'first'), 'FLINK_JOB_RUNNING')
  await at.tick(Date.now() * 1000)
  let status = ''
  await until('it is at the end of telemetry', () => {
    status = done('status')
    return status.includes('behind by 0 entries (0: 0, 1: 0, 2: 0, 3: 0)')
  })
  assert.match(status, /: RUNNING\nup \d+ s, submitted \d+ s ago, 0 restarts\nlast checkpoint/)
  assert.match(
    done('upgrade', '--pipeline', 'hotter', '--check'),
    /^Job .*: its state can be kept\.\n {2}of the pipeline: rules\n$/,
  )
  assert.match(
    done('upgrade', '--pipeline', 'hotter'),
    /\nSavepoint (.*)\nJob .* runs, from \1\.\n/,
  )
  const refused = weir('upgrade', '--pipeline', 'windows')
  assertFails(refused, 'FLINK_STATE_DIFFERS')
  assert.match(refused.stdout, /cannot be kept\.\n {2}its windows were of 60000 ms, and are of/)
  assert.match(
    done('upgrade', '--pipeline', 'windows', '--replay'),
    /\nSavepoint .*\nJob .* runs, from entries since 20/,
  )
  assert.match(done('cancel'), /^Job [0-9a-f]{32} has ended\.\n/)
  assertFails(weir('submit', '--pipeline', 'windows'), 'FLINK_STATE_EXISTS')
  assert.match(done('submit', '--pipeline', 'windows', '--resume'), / runs, from .*\/chk-\d+\.\n/)
  assert.match(done('cancel', '--savepoint'), /has ended\. Savepoint /)
  assertFails(weir('cancel'), 'FLINK_JOB_ABSENT')
  assert.match(done('submit', '--pipeline', 'windows', '--resume'), / runs, from .*\/savepoint-/)
})
