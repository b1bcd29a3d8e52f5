/** The cold tier in a bucket: put there, asked for, cut off and killed; and Trino’s view of it. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { openFolderObjects } from '../../src/objects/folder-objects.ts'
import { eachObject } from '../../src/objects/objects.ts'
import { openAging, readAll, writeDays } from '../../src/storage/aging-fixture.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { createBucket, openBucket, skip } from './buckets.ts'
import { killService, restartService } from './cluster.ts'
import { askTrino, skipTrino, tableOver, trinoFiles } from './trino-tables.ts'

const METRICS = ['temperature', 'state', 'short']

test(
  'months go to a bucket and are found there, also by a process that starts',
  { skip },
  async (context) => {
    const objects = openBucket(await createBucket())
    context.after(() => objects.close())
    const opened = await openAging(context, { objects })
    const { store, folder, now } = opened
    await writeDays(opened, 160)
    const expected = (await readAll(store, 'temperature')).points
    assert.equal(expected.length, 160 * 4)
    const keys = []
    for await (const { key } of eachObject(objects, ''))
      keys.push(key.replace(/(_manifest-)?readings-.*/, ''))
    const months = [1, 2].map(
      (month) => `readings/tenant=default/type=generic/year=2026/month=${month}/`,
    )
    assert.deepEqual([...new Set(keys)].toSorted(), months)
    await store.close()

    const again = await openAging(context, { folder, objects, nowUs: now.us })
    await again.store.recover()
    const { points, meta } = await readAll(again.store, 'temperature')
    assert.deepEqual(points, expected)
    assert.ok(meta.tiers.includes('cold'))
  },
)

test(
  'a bucket killed meanwhile keeps what is due here, and a question says that it is away',
  { skip },
  async (context) => {
    const objects = openBucket(await createBucket())
    context.after(() => objects.close())
    const opened = await openAging(context, { objects })
    await writeDays(opened, 125)
    assert.ok((await readAll(opened.store, 'temperature')).meta.tiers.includes('cold'))
    await killService('minio')
    try {
      // February becomes due while nobody takes it.
      await writeDays(opened, 30)
      await assert.rejects(readAll(opened.store, 'temperature'), { code: 'OBJECTS_UNAVAILABLE' })
    } finally {
      await restartService('minio')
    }
    await writeDays(opened, 2)
    const { points } = await readAll(opened.store, 'temperature')
    assert.equal(points.length, 157 * 4)
    assert.equal(new Set(points.map(([ms]) => ms)).size, points.length)
  },
)

/** Where the embedded cold tier may be, and how Trino calls that. */
const PLACES = {
  async bucket() {
    const bucket = await createBucket()
    return { objects: openBucket(bucket), location: `s3://${bucket}`, catalogue: 'lake' }
  },
  async folder() {
    const name = `weir-cold-${process.pid}`
    const folder = join(trinoFiles, name)
    const objects = await openFolderObjects({ ...nodeWorld, folder })
    return { objects, location: `local:///${name}`, catalogue: 'hive' }
  },
}

for (const [place, open] of Object.entries(PLACES)) {
  test(
    `Trino reads the cold tier in a ${place} by the table of weir lake ddl`,
    { skip: skip ?? skipTrino },
    async (context) => {
      const { objects, location, catalogue } = await open()
      context.after(() => objects.close())
      const opened = await openAging(context, { objects })
      await writeDays(opened, 160)
      const keys: string[] = []
      for await (const { key } of eachObject(objects, '')) keys.push(key)
      assert.ok(keys.some((key) => /\/_manifest-[^/]+$/.test(key)))
      const schema = `${catalogue}.weir_cold_${process.pid}`
      const table = `${schema}.readings`
      await askTrino(`CREATE SCHEMA ${schema}`)
      const [create = '', again = ''] = tableOver(location, table)
      await askTrino(create)
      try {
        await askTrino(again)
        const untilMs = Date.UTC(2026, 2, 1)
        for (const metric of METRICS) {
          const { points } = await readAll(opened.store, metric)
          const value = metric === 'state' ? 'text_value' : 'value'
          const rows = await askTrino(
            `SELECT CAST(to_unixtime("time") * 1e3 AS bigint), ${value} FROM ${table}
             WHERE metric = '${metric}' ORDER BY 1`,
          )
          // It is deleted when it would be cold.
          assert.equal(rows.length > 0, metric !== 'short')
          assert.deepEqual(
            rows,
            points.filter(([ms]) => ms < untilMs),
          )
        }
      } finally {
        await askTrino(`DROP TABLE ${table}`)
        await askTrino(`DROP SCHEMA ${schema}`)
      }
    },
  )
}
