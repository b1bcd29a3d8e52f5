/** Trino makes the lake's table from what `weir lake ddl` prints, and reads what the lake wrote. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { entryAt, feed, openWriter, rowsUpTo } from '../../src/lake/lake-fixture.ts'
import { createBucket, openBucket } from './buckets.ts'
import { accessOf } from './cluster.ts'

const access = accessOf('trino')
const [url = '', catalogs = ''] = [access?.['url'], access?.['catalogs']]
let skip: string | undefined
if (url === '') skip = 'Trino does not run: npm run -s cluster:up -- minio trino'
else if (!catalogs.split(',').includes('lake') || accessOf('minio') === undefined) {
  skip = 'Trino was started without MinIO: npm run -s cluster:down -- trino, and up with minio'
}

interface Page {
  nextUri?: string
  data?: unknown[][]
  error?: { message: string }
}

/** The rows of a statement, page by page. */
async function ask(statement: string): Promise<unknown[][]> {
  const rows: unknown[][] = []
  const headers = { 'x-trino-user': 'weir', 'x-trino-time-zone': 'UTC' }
  let answer = await fetch(`${url}/v1/statement`, { method: 'POST', body: statement, headers })
  for (;;) {
    const page = (await answer.json()) as Page
    if (page.error !== undefined) throw new Error(`${page.error.message}\n${statement}`)
    rows.push(...(page.data ?? []))
    if (page.nextUri === undefined) return rows
    answer = await fetch(page.nextUri, { headers })
  }
}

/** As a person pastes it: without comments, one statement after another. */
const statementsOf = (text: string): string[] =>
  text
    .replaceAll(/^--.*$/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')

function definition(bucket: string, table: string): string[] {
  const program = fileURLToPath(new URL('../../src/cli/weir.ts', import.meta.url))
  const flags = ['--engine', 'trino', '--location', `s3://${bucket}`, '--table', table]
  const command = ['--disable-warning=ExperimentalWarning', program, 'lake', 'ddl', ...flags]
  return statementsOf(execFileSync(process.execPath, command, { encoding: 'utf8' }))
}

const COLUMNS = `tenant, type, device_id, metric, dimensions,
  CAST(to_unixtime("time") * 1e6 AS bigint), value, text_value`

/** As `rowsUpTo` of the lake's fixture writes them. */
const rowsOf = async (table: string): Promise<string[]> =>
  (await ask(`SELECT ${COLUMNS} FROM ${table}`)).map((row) => JSON.stringify(row)).toSorted()

test('the table of weir lake ddl shows Trino every row as it was', { skip }, async () => {
  const bucket = await createBucket()
  const objects = openBucket(bucket)
  const writer = await openWriter(objects)
  await feed(writer, { 0: 12, 1: 5 })
  await writer.commit()
  const schema = `lake.weir_${process.pid}`
  await ask(`CREATE SCHEMA ${schema}`)
  const table = `${schema}.readings`
  const [create = '', again = ''] = definition(bucket, table)
  await ask(create)
  try {
    await ask(again)
    assert.deepEqual(await rowsOf(table), rowsUpTo({ 0: 12, 1: 5 }))

    // Folders and bounds narrow what is read, and change no answer.
    const { names } = entryAt(0, 0)
    const { deviceId, metric } = names[0]!
    const where = `device_id = '${deviceId}' AND metric = '${metric}' AND month = 8`
    const [[count, months] = []] = await ask(
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
    await ask(again)
    assert.deepEqual(await rowsOf(table), rowsUpTo({ 0: 15, 1: 5 }))
  } finally {
    await ask(`DROP TABLE ${table}`)
    await ask(`DROP SCHEMA ${schema}`)
    objects.close()
  }
})
