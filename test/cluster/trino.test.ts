/** Trino makes the lake's table from what `weir lake ddl` prints, and reads what the lake wrote. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { entryAt, feed, openWriter, rowsUpTo } from '../../src/lake/lake-fixture.ts'
import { createBucket, openBucket } from './buckets.ts'
import { askTrino, skipTrino as skip, tableOver } from './trino-tables.ts'

const COLUMNS = `tenant, type, device_id, metric, dimensions,
  CAST(to_unixtime("time") * 1e6 AS bigint), value, text_value`

/** As `rowsUpTo` of the lake's fixture writes them. */
const rowsOf = async (table: string): Promise<string[]> =>
  (await askTrino(`SELECT ${COLUMNS} FROM ${table}`)).map((row) => JSON.stringify(row)).toSorted()

test('the table of weir lake ddl shows Trino every row as it was', { skip }, async () => {
  const bucket = await createBucket()
  const objects = openBucket(bucket)
  const writer = await openWriter(objects)
  await feed(writer, { 0: 12, 1: 5 })
  await writer.commit()
  const schema = `lake.weir_${process.pid}`
  await askTrino(`CREATE SCHEMA ${schema}`)
  const table = `${schema}.readings`
  const [create = '', again = ''] = tableOver(`s3://${bucket}`, table)
  await askTrino(create)
  try {
    await askTrino(again)
    assert.deepEqual(await rowsOf(table), rowsUpTo({ 0: 12, 1: 5 }))

    // Folders and bounds narrow what is read, and change no answer.
    const { names } = entryAt(0, 0)
    const { deviceId, metric } = names[0]!
    const where = `device_id = '${deviceId}' AND metric = '${metric}' AND month = 8`
    const [[count, months] = []] = await askTrino(
      `SELECT count(*), count(DISTINCT year * 12 + month) FROM ${table} WHERE ${where}`,
    )
    const expected = rowsUpTo({ 0: 12, 1: 5 }).filter((row) => {
      const [, , device, name, , timeUs] = JSON.parse(row) as unknown[]
      const isAugust = new Date(Number(timeUs) / 1000).getUTCMonth() === 7
      return device === deviceId && name === metric && isAugust
    })
    assert.ok(expected.length > 0)
    assert.deepEqual([count, months], [expected.length, 1])

    // A later commit is seen without another word, unless its folder is new.
    await feed(writer, { 0: 15, 1: 5 })
    await writer.commit()
    await askTrino(again)
    assert.deepEqual(await rowsOf(table), rowsUpTo({ 0: 15, 1: 5 }))
  } finally {
    await askTrino(`DROP TABLE ${table}`)
    await askTrino(`DROP SCHEMA ${schema}`)
    objects.close()
  }
})
