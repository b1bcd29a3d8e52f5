/** Cold readings that their bucket has archived, and those that it has expired. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  CopyObjectCommand,
  CreateBucketCommand,
  GetBucketLifecycleConfigurationCommand,
  PutBucketLifecycleConfigurationCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { eachObject, type Objects } from '../../src/objects/objects.ts'
import { createS3Objects } from '../../src/objects/s3-objects.ts'
import { openAging, readAll, writeDays, type Opened } from '../../src/storage/aging-fixture.ts'
import { ask, makeOutput } from '../../src/storage/storage-fixture.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { askStore, embeddedSql } from '../system/sql-fixture.ts'
import { REGION } from './buckets.ts'
import { accessOf } from './cluster.ts'

const moto = accessOf('moto')
const skip = moto === undefined ? 'moto does not run: npm run -s cluster:up -- moto' : undefined
const endpoint = moto?.['endpoint'] ?? ''
const credentials = { accessKey: 'AKIAIOSFODNN7EXAMPLE', secretKey: 'secret-key-of-the-test' }
const adminOf = (at: string, { accessKey, secretKey }: typeof credentials): S3Client =>
  new S3Client({
    ...{ endpoint: at, region: REGION, forcePathStyle: true },
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  })

const compare = (a: string, b: string): number => (a < b ? -1 : 1)

let buckets = 0
/** moto plays AWS: an archived object is refused until it is restored. */
async function openArchive(): Promise<{ objects: Objects; bucket: string; admin: S3Client }> {
  return openBucketAt(endpoint, credentials)
}

async function openBucketAt(
  endpoint: string,
  credentials: { accessKey: string; secretKey: string },
): Promise<{ objects: Objects; bucket: string; admin: S3Client }> {
  const bucket = `weir-archive-${process.pid}-${++buckets}`
  const admin = adminOf(endpoint, credentials)
  await admin.send(new CreateBucketCommand({ Bucket: bucket }))
  const objects = createS3Objects({
    ...{ bucket, region: REGION, endpoint, random: nodeWorld.random, credentials },
  })
  return { objects, bucket, admin }
}

/** What the rule of a bucket does a year later: nobody waits for it here. */
async function freeze(admin: S3Client, bucket: string, key: string): Promise<void> {
  const CopySource = `${bucket}/${key}`
  const StorageClass = 'GLACIER'
  await admin.send(new CopyObjectCommand({ Bucket: bucket, Key: key, CopySource, StorageClass }))
}

async function keysOf(objects: Objects): Promise<string[]> {
  const keys = []
  for await (const { key } of eachObject(objects, '')) if (key.endsWith('.parquet')) keys.push(key)
  return keys
}

/** Restores of moto take so many looks. */
async function thawSlowly(looks: number): Promise<void> {
  const transition = { progression: 'manual', times: looks }
  const body = JSON.stringify({ model_name: 's3::keyrestore', transition })
  const path = `${endpoint}/moto-api/state-manager/set-transition`
  const headers = { 'content-type': 'application/json' }
  assert.ok((await fetch(path, { method: 'POST', body, headers })).ok)
}

async function settle({ store, now }: Opened, offset: number): Promise<void> {
  now.us += 1000
  store.output(makeOutput({ offset, readings: [] }))
  await store.commit({ offset, parts: [] })
  await store.settle()
}

const JANUARY = { startUs: Date.UTC(2026, 0, 1) * 1000, endUs: Date.UTC(2026, 1, 1) * 1000 }

for (const isWarm of [false, true]) {
  const how = isWarm ? 'whose tables are known already' : 'that nobody has asked for yet'
  test(
    `an archived month ${how} is left out of answers, said, and comes back when asked for`,
    { skip },
    async (context) => {
      const { objects, bucket, admin } = await openArchive()
      context.after(() => objects.close())
      const opened = await openAging(context, { objects })
      await writeDays(opened, 160)
      const { store } = opened
      const [january] = (await keysOf(objects)).filter((key) => key.includes('month=1/'))
      if (isWarm) assert.equal((await readAll(store, 'temperature')).points.length, 640)
      await freeze(admin, bucket, january!)

      for (const _ of [1, 2]) {
        const { points, meta } = await readAll(store, 'temperature')
        assert.equal(points.length, 640 - 31 * 4)
        assert.ok(points.every(([ms]) => ms >= Date.UTC(2026, 1, 1)))
        assert.ok(meta.completeness < 1 && meta.completeness > 0.5, `${meta.completeness}`)
        assert.equal(meta.segments_damaged, 0)
        const lastMs = Date.UTC(2026, 0, 31, 18)
        assert.deepEqual(meta.frozen, [{ from: Date.UTC(2026, 0, 1), to: lastMs + 0.001 }])
      }
      const later = await store.readings(ask({ startUs: JANUARY.endUs, endUs: opened.now.us }))
      assert.equal(later.meta.completeness, 1)
      assert.equal(later.meta.frozen, undefined)

      await thawSlowly(3)
      const before = await store.frozen.status(JANUARY)
      assert.deepEqual([before.frozen.files, before.readable.files], [1, 0])
      for (const _ of [1, 2]) {
        const asked = await store.frozen.restore(JANUARY, 3)
        assert.deepEqual([asked.frozen.files, asked.thawing.files], [0, 1])
      }
      for (let looks = 0; (await store.frozen.status(JANUARY)).thawing.files > 0; looks++)
        assert.ok(looks < 10)
      const { points, meta } = await readAll(store, 'temperature')
      assert.equal(points.length, 640)
      assert.equal(meta.completeness, 1)
      assert.equal(meta.frozen, undefined)
    },
  )
}

test(
  'SQL reads the bucket’s files, and refuses a month that is archived by its times',
  { skip },
  async (context) => {
    const { objects, bucket, admin } = await openArchive()
    context.after(() => objects.close())
    const opened = await openAging(context, { objects })
    await writeDays(opened, 160)
    const { store, folder, now } = opened
    const sql = embeddedSql(store, { folder, objects })
    const count = async (where: string): Promise<unknown> => {
      const statement = `SELECT count(*) FROM telemetry WHERE metric = 'temperature' ${where}`
      return (await askStore(sql, statement, { nowUs: now.us }))[0]![0]
    }
    assert.equal(await count("AND ts >= '2026-02-01'"), 640 - 31 * 4)
    const [january] = (await keysOf(objects)).filter((key) => key.includes('month=1/'))
    await freeze(admin, bucket, january!)
    const message = /2026-01-01T00:00:00.000Z to 2026-01-31T.* archive/
    await assert.rejects(count(''), { code: 'OBJECT_FROZEN', message })
    assert.equal(await count("AND ts >= '2026-02-01'"), 640 - 31 * 4)
  },
)

test(
  'the rule of the bucket is ours alone, replaced whole, and gone when it does nothing',
  { skip },
  async (context) => {
    const { objects, bucket, admin } = await openArchive()
    context.after(() => objects.close())
    const archive = objects.archive!
    assert.equal(await archive.rule('readings/'), undefined)
    const other = {
      ...{ ID: 'theirs', Status: 'Enabled' as const, Filter: { Prefix: 'logs/' } },
      Expiration: { Days: 30 },
    }
    const Rules = [other]
    const theirs = { Bucket: bucket, LifecycleConfiguration: { Rules } }
    await admin.send(new PutBucketLifecycleConfigurationCommand(theirs))
    const found = async () =>
      (await admin.send(new GetBucketLifecycleConfigurationCommand({ Bucket: bucket }))).Rules ?? []
    const freeze = { afterDays: 365, storageClass: 'GLACIER' }
    for (const expireAfterDays of [2555, 3650, undefined]) {
      await archive.setRule('readings/', { freeze, expireAfterDays })
      assert.deepEqual(await archive.rule('readings/'), { freeze, expireAfterDays })
      assert.deepEqual((await found()).map(({ ID = '' }) => ID).toSorted(compare), [
        'theirs',
        'weir-cold-readings',
      ])
    }
    const [ours] = (await found()).filter(({ ID }) => ID !== 'theirs')
    assert.deepEqual(ours?.Filter, { Prefix: 'readings/' })
    await archive.setRule('readings/', { freeze: undefined, expireAfterDays: undefined })
    assert.equal(await archive.rule('readings/'), undefined)
    assert.deepEqual(
      (await found()).map(({ ID }) => ID),
      ['theirs'],
    )
  },
)

test(
  'what the bucket has expired is forgotten when it is past its age, and damage before',
  { skip },
  async (context) => {
    const { objects } = await openArchive()
    context.after(() => objects.close())
    const opened = await openAging(context, { objects })
    const offset = await writeDays(opened, 160)
    const { store, now } = opened
    const [january, february] = (await keysOf(objects)).toSorted(compare)
    await objects.delete(january!)
    const early = await readAll(store, 'temperature')
    assert.equal(early.points.length, 640 - 31 * 4)
    assert.ok(early.meta.completeness < 1)
    assert.equal(early.meta.segments_damaged, 1)
    const damaged = async (): Promise<number> => {
      let found = 0
      await store.verify((progress) => (found = progress.damaged.length))
      return found
    }
    assert.equal(await damaged(), 1)

    // A jump of the clock: Weir itself deletes nothing for a day.
    await store.close()
    const nowUs = Date.UTC(2027, 1, 2) * 1000
    const later = await openAging(context, { ...opened, nowUs })
    assert.ok(nowUs > now.us)
    await settle(later, offset + 1)
    assert.ok((await keysOf(objects)).includes(february!), 'it is past nothing')
    assert.equal(later.store.statistics().segmentsDamaged, 0)
    let found = -1
    await later.store.verify((progress) => (found = progress.damaged.length))
    assert.equal(found, 0)
    const { points, meta } = await readAll(later.store, 'temperature')
    assert.ok(points.length > 0)
    assert.equal(meta.completeness, 1)
  },
)

const tiered = accessOf('minio-archive')
const skipTiered =
  tiered === undefined
    ? 'no archive of MinIO runs: npm run -s cluster:up -- minio-archive'
    : undefined

test(
  'MinIO moves months to its tier GLACIER by our rule, and they are asked back',
  { skip: skipTiered, timeout: 120_000 },
  async (context) => {
    const { endpoint: at = '', accessKey = '', secretKey = '' } = tiered!
    const keys = { accessKey, secretKey }
    const { objects, admin } = await openBucketAt(at, keys)
    context.after(() => objects.close())
    // At once, and not in a year: MinIO archives what is put from then on.
    const freeze = { afterDays: 0, storageClass: 'GLACIER' }
    await objects.archive!.setRule('readings/', { freeze, expireAfterDays: 2555 })
    assert.deepEqual(await objects.archive!.rule('readings/'), { freeze, expireAfterDays: 2555 })
    const opened = await openAging(context, { objects })
    await writeDays(opened, 125)
    const { store } = opened
    const frozen = async () => (await store.frozen.status(JANUARY)).frozen.files
    await until(async () => (await frozen()) > 0)
    const behind = createS3Objects({
      ...{ bucket: tiered!['behindBucket']!, region: REGION, endpoint: tiered!['behind']! },
      ...{ random: nodeWorld.random, credentials: keys },
    })
    context.after(() => behind.close())
    assert.ok((await behind.list('', { limit: 10 })).length > 0, 'the other MinIO has it')
    // Unlike AWS, MinIO reads through its tier.
    const { points, meta } = await readAll(store, 'temperature')
    assert.equal(points.length, 500)
    assert.equal(meta.completeness, 1)
    for (const _ of [1, 2]) await store.frozen.restore(JANUARY, 2)
    await until(async () => (await store.frozen.status(JANUARY)).readable.files > 0)
    assert.equal(await frozen(), 0)
    admin.destroy()
  },
)

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 200))
}
