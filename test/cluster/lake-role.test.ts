import assert from 'node:assert/strict'
import { after, test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Kafka } from '../../src/kafka/kafka.ts'
import { topicName } from '../../src/entries/entries.ts'
import { makeFolder, until, type WeirProcess } from '../system/weir-process.ts'
import { createBucket, openBucket, skip as skipMinio } from './buckets.ts'
import { killService, restartService } from './cluster.ts'
import { open, newTopic, skip as skipKafka } from './kafka-fixture.ts'
import {
  appendDisordered,
  appendMessages,
  assertRows,
  createReadingsTopic,
  makeManifestOld,
  PARTITIONS,
  rowsOf,
  sourceOf,
  spawnRoles,
  startRoles,
  untilCommitted,
  untilRows,
  type Installation,
} from './lake-role-fixture.ts'
import { skip as skipFlink } from './flink-fixture.ts'
import { cancelJob } from './flink-section.ts'
import { ask, skip as skipPostgres } from './postgres-fixture.ts'

const skip = skipKafka ?? skipMinio ?? skipPostgres ?? skipFlink
/** A minute by command: `WEIR_OUTAGE_S=60`. */
const OUTAGE_MS = Number(process.env['WEIR_OUTAGE_S'] ?? 5) * 1000
const MESSAGES_AT_ONCE = 500

const folder = await makeFolder({ after })
const kafka: Kafka | undefined = skip === undefined ? await open() : undefined
const installations: Installation[] = []
after(async () => {
  await kafka?.close()
  for (const { objects, prefix } of installations) {
    objects.close()
    await cancelJob(prefix)
    await ask(`DROP SCHEMA IF EXISTS ${prefix.replaceAll('-', '_')} CASCADE`)
  }
})

async function install(): Promise<Installation> {
  const bucket = await createBucket()
  const of = { prefix: newTopic(), bucket, objects: openBucket(bucket) }
  installations.push(of)
  await createReadingsTopic(kafka!, of)
  return of
}

/** Appends messages until told to stop, or the test ends; gives how many there are. */
function keepAppending(context: TestContext, of: Installation): { stop: () => Promise<number> } {
  let isOver = false
  context.after(() => void (isOver = true))
  let count = 0
  const work = (async () => {
    while (!isOver) {
      await appendMessages(kafka!, of, [count, count + MESSAGES_AT_ONCE])
      count += MESSAGES_AT_ONCE
      await delay(50)
    }
    return count
  })()
  return {
    stop: () => {
      isOver = true
      return work
    },
  }
}

/** `count` messages, each twice: the stream takes the repeat out. Gives the rows of the lake. */
async function send(process: WeirProcess, device: string, count: number): Promise<string[]> {
  const token = await process.register({ id: device })
  const rows: string[] = []
  const startMs = Date.now() - 60_000
  for (let at = 0; at < count; at++) {
    const ms = startMs + at * 1000
    const message = { ts: new Date(ms).toISOString(), metrics: { temperature: at / 2 } }
    for (let again = 0; again < 2; again++) {
      const { status, text } = await process.api('/v1/telemetry', { token, body: message })
      assert.equal(status, 200, text)
    }
    rows.push(JSON.stringify([device, 'temperature', ms * 1000, at / 2, null]))
  }
  return rows
}

test(
  'what devices send is in the lake, once, also when its process is killed',
  { skip },
  async () => {
    const of = await install()
    const sent: string[] = []
    const isThere = async (): Promise<boolean> => (await rowsOf(of.objects)).length >= sent.length
    for (const device of ['pump-1', 'pump-2', 'pump-3']) {
      const process = await startRoles(`${folder}/all`, 'all', of)
      sent.push(...(await send(process, device, 30)))
      await until('the readings are in the lake', isThere, 60_000)
      if (device !== 'pump-3') await process.kill()
      else {
        assert.equal((await process.stop()).code, 0)
      }
    }
    assert.deepEqual(await rowsOf(of.objects), sent.toSorted())
  },
)

test(
  'MinIO is away under load: it collects, stops reading, and catches up',
  { skip },
  async (context) => {
    const of = await install()
    const process = await startRoles(`${folder}/outage`, 'lake', of)
    const appending = keepAppending(context, of)
    await until('it commits', async () => (await process.metric('weir_lake_commits_total')) > 1)
    await killService('minio')
    await delay(OUTAGE_MS)
    const isFull = async (): Promise<boolean> => (await process.metric('weir_lake_is_full')) === 1
    await until('it is full', isFull, 60_000)
    const held = await process.metric('weir_lake_held_readings')
    assert.ok(held < 6000 + PARTITIONS * 30_000, `${held} readings are held`)
    await restartService('minio')
    const count = await appending.stop()
    await untilCommitted(kafka!, of)
    await until('it is full no more', async () => !(await isFull()))
    assert.equal((await process.stop()).code, 0)
    const told = (name: string): number => process.running.stderr.split(name).length - 1
    assert.equal(told('lake_commit_failed'), 1, process.running.stderr)
    assert.equal(told('lake_commit_recovered'), 1)
    // Once more, perhaps, when it catches up faster than it can commit.
    assert.ok(told('lake_full') >= 1)
    await assertRows(of, count)
  },
)

test('kill -9 again and again: every reading is in the lake once', { skip }, async (context) => {
  const of = await install()
  const appending = keepAppending(context, of)
  for (let kill = 0; kill < 4; kill++) {
    const process = await startRoles(`${folder}/kill`, 'lake', of)
    await until('it commits', async () => (await process.metric('weir_lake_commits_total')) > 0)
    await delay(kill * 130)
    await process.kill()
  }
  const count = await appending.stop()
  const process = await startRoles(`${folder}/kill`, 'lake', of)
  await untilCommitted(kafka!, of)
  await process.stop()
  await assertRows(of, count)
})

test(
  'sources out of order, a stretch twice, kills: each message is there once',
  { skip },
  async () => {
    const of = await install()
    const start = (): Promise<WeirProcess> => startRoles(`${folder}/sources`, 'lake', of)
    const killAtWork = async (): Promise<void> => {
      const process = await start()
      await until('it commits', async () => (await process.metric('weir_lake_commits_total')) > 0)
      await process.kill()
    }
    await appendDisordered(kafka!, of, { from: 0, to: 6000, hangs: 4000 })
    await killAtWork()
    // The stream begins again from a checkpoint, twice.
    await appendDisordered(kafka!, of, { from: 3000, to: 7000, hangs: 5500 })
    await killAtWork()
    await appendDisordered(kafka!, of, { from: 3500, to: 8000 })
    const process = await start()
    await untilCommitted(kafka!, of)
    assert.ok((await process.metric('weir_lake_repeated_entries_total')) > 0)
    assert.equal(await process.metric('weir_lake_uncertain_entries_total'), 0)
    assert.equal((await process.stop()).code, 0)
    await assertRows(of, 8000)
  },
)

test('a lake that knew how far the telemetry came, and no more, goes on', { skip }, async () => {
  const of = await install()
  await appendDisordered(kafka!, of, { from: 0, to: 1000 })
  const before = await startRoles(`${folder}/before`, 'lake', of)
  await untilCommitted(kafka!, of)
  assert.equal((await before.stop()).code, 0)
  await makeManifestOld(of, sourceOf(1000))
  await appendDisordered(kafka!, of, { from: 500, to: 2000 })
  const process = await startRoles(`${folder}/before`, 'lake', of)
  await untilCommitted(kafka!, of)
  assert.equal((await process.stop()).code, 0)
  await assertRows(of, 2000)
})

test('of two processes one writes; the other stands by and goes on', { skip }, async () => {
  const of = await install()
  const isActive = async (process: WeirProcess): Promise<boolean> =>
    (await process.metric('weir_lake_is_active')) === 1
  const first = await startRoles(`${folder}/first`, 'lake', of)
  await until('the first writes', () => isActive(first))
  const second = await startRoles(`${folder}/second`, 'lake', of)
  await appendMessages(kafka!, of, [0, 1000])
  await untilCommitted(kafka!, of)
  assert.equal(await isActive(second), false)
  await appendMessages(kafka!, of, [1000, 2000])
  await first.kill()
  await until('the second writes', () => isActive(second), 60_000)
  await untilCommitted(kafka!, of)
  await second.stop()
  await assertRows(of, 2000)
})

test('entries that Kafka forgot before they were in the lake are told', { skip }, async () => {
  const of = await install()
  await appendMessages(kafka!, of, [0, 100])
  const { nextOffset } = await kafka!.bounds(topicName(of.prefix, 'readings'), 0)
  await kafka!.deleteBefore(topicName(of.prefix, 'readings'), 0, nextOffset - 1)
  const process = await startRoles(`${folder}/lost`, 'lake', of)
  await untilCommitted(kafka!, of)
  assert.equal(await process.metric('weir_lake_lost_entries_total'), nextOffset - 1)
  assert.match(process.running.stderr, /entries_lost/)
  await process.stop()
})

test('a role lake without a bucket says what it wants', { skip }, async () => {
  const running = await spawnRoles(`${folder}/none`, 'lake', {
    ...(await install()),
    bucket: '',
  })
  assert.equal(await running.end(), 2, running.output)
  assert.match(running.stderr, /lake\.bucket/)
})

test('of each generation all is in the lake, also after a restart', { skip }, async (t) => {
  const of = await install()
  const second = { number: 2, partitions: 2 * PARTITIONS }
  await createReadingsTopic(kafka!, of, second)
  await appendMessages(kafka!, of, [0, 1000])
  const start = async (name: string): Promise<WeirProcess> => {
    const weir = await startRoles(`${folder}/${of.prefix}-${name}`, 'lake', of)
    t.after(() => weir.kill())
    return weir
  }
  const first = await start('first')
  await untilRows(of, 1000)
  await appendMessages(kafka!, of, [1000, 1500])
  await appendMessages(kafka!, of, [1500, 2500], second)
  await untilRows(of, 2500)
  await first.kill()
  await appendMessages(kafka!, of, [2500, 3000], second)
  await start('next')
  await untilRows(of, 3000)
  await assertRows(of, 3000)
})
