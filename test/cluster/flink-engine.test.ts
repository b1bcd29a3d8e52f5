/**
 * `engines/flink`: its operators by Maven, against the same vectors as the TypeScript ones, and the
 * function made of them in a job of Flink, against the naive oracle. With the services' tests, as
 * they need the same Java and take as long.
 */
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { assertRow } from '../conformance/operators/compare.ts'
import {
  inOrder,
  readVectors,
  type Vectors,
  type WindowTime,
} from '../conformance/operators/vectors.ts'
import { caseOf, type Arrival } from '../conformance/operators/window-cases.ts'
import { accessOf, killService, restartService } from './cluster.ts'
import { execute, findProgram } from './process.ts'
import { SqlGateway } from './sql-gateway.ts'

const TIME: WindowTime = { disorderUs: 10e6, idleTimeoutUs: 30e6, allowedLatenessUs: 3600e6 }
/** Its place among the processes of the service. */
const TASK_MANAGER = 1

const at = (series: number, second: number): Arrival => ({
  ...{ ingestUs: 0, eventUs: second * 1e6, readings: [[series, 1]] },
})

const folder = fileURLToPath(new URL('../../engines/flink', import.meta.url))
const jar = join(folder, 'target', 'weir-flink.jar')

function missing(): string | undefined {
  if (process.env['WEIR_CLUSTER'] === 'off') return 'npm run test:cluster runs it'
  const program = ['javac', 'mvn'].find((name) => findProgram(name) === undefined)
  return program === undefined ? undefined : `${program} is not installed`
}

test('the operators of engines/flink pass their tests', { skip: missing() ?? false }, () => {
  const said = execute('mvn', ['-B', '-ntp', 'package'], { cwd: folder })
  const [, count] = /Tests run: (\d+), Failures: 0, Errors: 0, Skipped: 0\n/.exec(said) ?? []
  assert.ok(Number(count) > 100, said)
})

const access = accessOf('flink')
const notRunning = access === undefined ? 'it does not run: npm run -s cluster:up -- flink' : false

for (const { name, time, steps } of oneOfEachKind()) {
  test(`in a job of Flink: ${name}`, { skip: missing() ?? notRunning }, async () => {
    // Ticks are the gateway's; the end of a bounded source closes all windows.
    const messages = steps.filter(({ eventUs }) => eventUs !== null)
    const end: Arrival = { ingestUs: messages.at(-1)!.ingestUs + 1e12, eventUs: null, readings: [] }
    const expected = caseOf(name, [...messages, end], time).steps
    const rows = await runJob(messages, time)
    const partials = rows
      .filter(([kind]) => kind === 'partial')
      .map(([, ...row]) => row as number[])
    assertRows(
      partials,
      expected.flatMap(({ partials }) => partials),
    )
    const tooLate = expected.reduce((sum, step) => sum + step.tooLate, 0)
    assert.equal(rows.filter(([kind]) => kind === 'dirty').length, tooLate)
  })
}

test(
  'in a job of Flink: a window of a silent device is emitted as soon as the others passed it',
  { skip: missing() ?? notRunning },
  async () => {
    const rows = await runJob([at(0, 10), at(4, 80), at(4, 200)], TIME)
    const small = rows.filter(([, , windowMs]) => windowMs === 60_000)
    assert.deepEqual(
      small.map(([, series, , startMs]) => [series, startMs]),
      [
        [0, 0],
        [4, 60_000],
        [4, 180_000],
      ],
    )
  },
)

test(
  'in a job of Flink: what was late before a TaskManager died is late after it',
  { skip: missing() ?? notRunning },
  async () => {
    await using job = await openJob(TIME, { 'execution.checkpointing.interval': '500 ms' })
    job.send([at(0, 10), at(0, 80)].map(lineOf))
    await job.session.run(messagesOf(job.input, TIME, '100 ms'))
    let killed = 0
    const { rows } = await job.session.runUntil(QUERY, async ({ rows }) => {
      // A row is shown when a checkpoint has it.
      if (rows.length > 0 && killed++ === 0) {
        await killService('flink', TASK_MANAGER)
        await restartService('flink')
        // The source has no watermark now, and of this message alone it is 1 s.
        job.send([lineOf(at(0, 11))])
      }
      return rows.length > 1
    })
    const [SMALL, ON_TIME, LATE] = [60_000, 0, 1]
    assert.deepEqual(
      rows.map((row) => row.slice(1, 6)),
      [
        [0, SMALL, 0, ON_TIME, 1],
        [0, SMALL, 0, LATE, 1],
      ],
    )
  },
)

/** Of the random scripts, which are numbered. */
function oneOfEachKind(): Vectors['windows'][] {
  const kinds = new Map<string, Vectors['windows']>()
  for (const one of readVectors('windows')) {
    const [, kind] = /^(.+), \d+$/.exec(one.name) ?? []
    if (kind !== undefined) kinds.set(kind, one)
  }
  return [...kinds.values()]
}

/** One message after the other, each sent twice; the watermark follows each. */
async function runJob(messages: Arrival[], time: WindowTime): Promise<unknown[][]> {
  // What fails is told at once.
  await using job = await openJob(time, { 'restart-strategy.type': 'none' })
  const lines = messages.flatMap((one) => [lineOf(one), lineOf(one)])
  // Nothing to count, and of the first a device that nobody has heard of.
  const { eventUs } = messages.at(-1)!
  for (const metrics of [{}, { 0: null }])
    lines.push(JSON.stringify({ device: 'device-9', event_us: eventUs, metrics }))
  job.send(lines)
  await job.session.run(messagesOf(job.input, time))
  return (await job.session.run(QUERY)).rows
}

interface Job extends AsyncDisposable {
  session: SqlGateway
  /** Folder of files with messages. */
  input: string
  /** Puts a file with these lines there. */
  send: (lines: string[]) => void
}

async function openJob(time: WindowTime, settings: Record<string, string>): Promise<Job> {
  const work = mkdtempSync(join(tmpdir(), 'weir-flink-'))
  const input = join(work, 'messages')
  mkdirSync(input)
  // Flink keeps a jar open, and the next build writes over it.
  const ownJar = join(work, 'weir-flink.jar')
  copyFileSync(jar, ownJar)
  const session = await SqlGateway.open(access!['gateway']!, {
    'execution.runtime-mode': 'streaming',
    // A second reader without a file would hold the watermark back until it has ended.
    'parallelism.default': '1',
    'pipeline.auto-watermark-interval': '1 ms',
    'pipeline.global-job-parameters': `weir.allowed-lateness-ms:${time.allowedLatenessUs / 1000}`,
    ...settings,
  })
  await session.run(`CREATE TEMPORARY SYSTEM FUNCTION DeviceFunction
    AS 'weir.flink.DeviceFunction' USING JAR 'file://${ownJar}'`)
  let files = 0
  return {
    ...{ session, input },
    send(lines) {
      const written = join(work, 'written')
      writeFileSync(written, lines.join('\n'))
      renameSync(written, join(input, `${files++}.json`))
    },
    async [Symbol.asyncDispose]() {
      await session.close()
      rmSync(work, { recursive: true })
    },
  }
}

/** Bounded by the files that are there, or, with an interval, open to those that come. */
const messagesOf = (input: string, time: WindowTime, interval?: string): string => `
  CREATE TEMPORARY TABLE messages (
    device STRING, event_us BIGINT, metrics MAP<STRING, DOUBLE>,
    event_time AS TO_TIMESTAMP_LTZ(event_us / 1000, 3),
    WATERMARK FOR event_time AS event_time - INTERVAL '${time.disorderUs / 1e6}' SECOND(3)
  ) WITH ('connector' = 'filesystem', 'path' = 'file://${input}', 'format' = 'json'
    ${interval === undefined ? '' : `, 'source.monitor-interval' = '${interval}'`})`

/** The kind, and a row of PARTIAL_STRIDE. */
const QUERY = `
  SELECT kind, CAST(metric AS INT), window_ms, start_ms,
    CAST(is_late AS INT), n, sum_of, lowest, highest, mean, squares,
    earliest, earliest_us, latest, latest_us
  FROM DeviceFunction(
    input => TABLE messages PARTITION BY device, on_time => DESCRIPTOR(event_time),
    uid => 'device')`

/** Its metrics are named by their series, so that rows say which one they are of. */
const lineOf = ({ eventUs, readings }: Arrival): string =>
  JSON.stringify({
    device: `device-${Math.floor(readings[0]![0] / 4)}`,
    event_us: eventUs,
    metrics: Object.fromEntries(readings),
  })

/** The same rows, those that replace each other in order of their counts. */
function assertRows(actual: number[][], expected: number[][]): void {
  const sorted = (rows: number[][]): number[][] => inOrder(rows.toSorted((a, b) => a[4]! - b[4]!))
  const rows = sorted(actual)
  assert.equal(rows.length, expected.length)
  for (const [at, row] of sorted(expected).entries()) assertRow(rows[at]!, row, `row ${at}`)
}
