/** What can be known of the job without a Flink: its statements, its state's folder and records. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryDisk } from '../world/memory-disk.ts'
import { kafkaProperties, type JobSpec } from './flink.ts'
import { jobParameters, jobSql, printSql } from './job-sql.ts'
import { reasonOf } from './requests.ts'
import {
  lastRecord,
  newestState,
  openStateFolder,
  writeRecord,
  type StateFolder,
} from './state-folder.ts'
import { otherDifferences, specAsBefore, stateDifferences } from './state-layout.ts'

const SPEC: JobSpec = {
  ...{
    name: 'weir-stream',
    jar: 'file:///opt/weir-flink.jar',
    parallelism: 2,
    generation: 1,
    partitions: 8,
  },
  ...{ maxParallelism: 128, checkpointIntervalMs: 10_000, stateBackend: 'hashmap' },
  checkpoints: 'file:///state/weir-stream',
  savepoints: 'file:///state/weir-stream/savepoints',
  kafka: { 'bootstrap.servers': '127.0.0.1:9092' },
  topics: {
    ...{ telemetry: 'weir.telemetry.v1', readings: 'weir.readings.v1' },
    ...{ windows: 'weir.windows.v1', events: 'weir.events.v1' },
    deadLetters: 'weir.dead-letters.v1',
  },
  plan: { version: 1, windowsMs: [60_000], rules: [{ when: 'a > 1, b: "it\'s"' }] },
}
const EARLIEST = { from: 'earliest' } as const

test('what the functions are told is a list with commas and colons, and has none itself', () => {
  const { settings } = jobSql(SPEC, EARLIEST)
  const pairs = settings['pipeline.global-job-parameters']!.split(',')
  const told = Object.fromEntries(pairs.map((pair) => pair.split(':')))
  assert.deepEqual(told, jobParameters(SPEC, EARLIEST))
  const plan = Buffer.from(told['weir.plan']!, 'base64url').toString()
  assert.deepEqual(JSON.parse(plan), SPEC.plan)
})

test('quotes in texts are doubled, wherever they stand', () => {
  const sql = printSql(jobSql({ ...SPEC, jar: "file:///it's.jar" }, EARLIEST))
  assert.match(sql, /USING JAR 'file:\/\/\/it''s\.jar'/)
})

test('a job begins at the oldest entries, at a time, or from state', () => {
  const of = (beginning: Parameters<typeof jobSql>[1]): string => printSql(jobSql(SPEC, beginning))
  assert.match(of(EARLIEST), /'scan.startup.mode' = 'earliest-offset'/)
  const replayed = of({ from: 'time', timeMs: 1234, windowsFromMs: 60_000 })
  assert.match(replayed, /'scan.startup.timestamp-millis' = '1234'/)
  assert.match(replayed, /weir\.windows-from-ms:60000/)
  const resumed = of({ from: 'state', path: 'file:///state/chk-1' })
  assert.match(resumed, /SET 'execution.state-recovery.path' = 'file:\/\/\/state\/chk-1';/)
})

test('how Kafka is reached is told as its Java client knows it', () => {
  const access = { brokers: ['a:1', 'b:2'], clientId: 'weir' }
  const sasl = { mechanism: 'SCRAM-SHA-512', username: 'weir', password: 'a"b\\c' } as const
  assert.deepEqual(kafkaProperties(access), { 'bootstrap.servers': 'a:1,b:2' })
  const all = kafkaProperties({ ...access, sasl, tls: {} }, { ca: 'PEM', cert: 'C', key: 'K' })
  assert.deepEqual(all, {
    'bootstrap.servers': 'a:1,b:2',
    'security.protocol': 'SASL_SSL',
    'sasl.mechanism': 'SCRAM-SHA-512',
    'sasl.jaas.config':
      'org.apache.flink.kafka.shaded.org.apache.kafka.common.security.scram.ScramLoginModule ' +
      'required username="weir" password="a\\"b\\\\c";',
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.certificates': 'PEM',
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.certificate.chain': 'C',
    'ssl.keystore.key': 'K',
  })
})

test('F3 what of a job before can be taken up, and what cannot', () => {
  const before = jobParameters(SPEC, EARLIEST)
  assert.deepEqual(stateDifferences(before, SPEC), [])
  const changed = { ...SPEC, parallelism: 4, plan: { ...SPEC.plan, rules: [], detectors: [] } }
  assert.deepEqual(stateDifferences(before, changed), [])
  assert.deepEqual(otherDifferences(before, changed), [
    'parallelism 2 → 4',
    'of the pipeline: rules, detectors',
  ])
  const other = { ...SPEC, maxParallelism: 256, partitions: 16, plan: { windowsMs: [1000] } }
  assert.equal(stateDifferences(before, other).length, 3)
  assert.equal(stateDifferences({ ...before, 'weir.layout': '0' }, SPEC).length, 1)
  // A job that is not ours.
  assert.equal(stateDifferences({}, SPEC).length, 4)
})

const [FIRST, SECOND] = ['0'.repeat(32), 'f'.repeat(32)]

function folder(): StateFolder {
  const disk = createMemoryDisk({ seed: 1 })
  return openStateFolder('file:///state', { disk, bucketOf: () => assert.fail('it is no bucket') })
}

async function put(at: StateFolder, ...paths: string[]): Promise<void> {
  for (const path of paths) await at.write(path, new Uint8Array(1))
}

test('F2 the newest state is the last job’s highest checkpoint that is complete', async () => {
  const at = folder()
  assert.equal(await newestState(at, at), undefined)
  const parameters = jobParameters(SPEC, EARLIEST)
  // The second one has the lower name, and was submitted later.
  await writeRecord(at, { job: SECOND, submittedMs: 999, parameters })
  await put(at, `${SECOND}/chk-99/_metadata`)
  await writeRecord(at, { job: FIRST, submittedMs: 1000, parameters })
  assert.equal((await newestState(at, at))?.path, `${SECOND}/chk-99`)
  await put(at, `${FIRST}/chk-9/_metadata`, `${FIRST}/chk-10/_metadata`, `${FIRST}/chk-11/a`)
  await put(at, `${FIRST}/shared/b`)
  const found = await newestState(at, at)
  assert.deepEqual(found, {
    ...{ of: 'checkpoints', path: `${FIRST}/chk-10` },
    record: { job: FIRST, submittedMs: 1000, parameters },
  })
})

test('F5 what is known of the job that was submitted last: how it ran, and who ended it', async () => {
  const at = folder()
  assert.equal(await lastRecord(at), undefined)
  const other = { ...SPEC, parallelism: 4, plan: { ...SPEC.plan, rules: [] } }
  const first = { job: FIRST, submittedMs: 2, parameters: jobParameters(other, EARLIEST) }
  await writeRecord(at, { ...first, job: SECOND, submittedMs: 1 })
  await writeRecord(at, first)
  assert.deepEqual(await lastRecord(at), first)
  await writeRecord(at, { ...first, endedMs: 3 })
  assert.deepEqual(await lastRecord(at), { ...first, endedMs: 3 })
  assert.deepEqual(specAsBefore(first.parameters, SPEC), other)
})

test('F2 of a job that ended with a savepoint, that is the newest state', async () => {
  const [checkpoints, savepoints] = [folder(), folder()]
  const parameters = jobParameters(SPEC, EARLIEST)
  await writeRecord(checkpoints, { job: FIRST, submittedMs: 1, parameters })
  await put(checkpoints, `${FIRST}/shared/b`, `${SECOND}/chk-1/_metadata`)
  await put(savepoints, 'savepoint-ffffff-1/_metadata', 'savepoint-000000-2/_metadata')
  const found = await newestState(checkpoints, savepoints)
  assert.deepEqual([found?.of, found?.path], ['savepoints', 'savepoint-000000-2'])
})

test('a Java stack trace is told by its last cause', () => {
  const trace =
    'a.B: first\\n\\tat c.D\\nCaused by: e.F: second\\n\\tat g.H\\nCaused by: i.J: third\\n'
  assert.equal(reasonOf(trace), 'i.J: third')
  assert.equal(reasonOf('a.B: alone\n\tat c.D'), 'a.B: alone')
})
