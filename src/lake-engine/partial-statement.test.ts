/** What the statements answer is tested with DuckDB and Trino, in test/cluster. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EngineFile, PartialsQuestion } from './lake-engine.ts'
import { partialStatements } from './partial-statement.ts'

const FILES: EngineFile[] = Array.from({ length: 300 }, (_, at) => ({
  key: `readings/tenant=o'%25/type=t${at % 3}/year=${2020 + (at >> 6)}/month=${(at % 12) + 1}/cold-${at}.parquet`,
  ...{ year: 2020 + (at >> 6), month: (at % 12) + 1, deviceType: `t${at % 3}`, rows: at },
}))
const QUESTION: PartialsQuestion = {
  ...{ tenant: "o'%", metric: "it's", startUs: -1, endUs: 1.5, files: FILES },
  ...{ steps: { kind: 'all' }, groups: 'all', dimensions: undefined },
}
const PLACE = { table: 'hive.iot.readings', location: 's3://lake', time: 'bigint' } as const

const pathsIn = (text: string): string[] =>
  [...text.matchAll(/'s3:\/\/lake\/((?:[^']|'')*)'/g)].map(([, path]) =>
    path!.replaceAll("''", "'"),
  )

test('every file is in one statement, none is too long, and types are apart as groups', () => {
  for (const groups of ['all', 'type', 'device'] as const) {
    for (const lengthMax of [3000, 20_000, 1_000_000]) {
      const statements = partialStatements({ ...QUESTION, groups }, { ...PLACE, lengthMax })!
      const paths = statements.map(({ text }) => pathsIn(text))
      const keys = FILES.map(({ key }) => key).toSorted()
      assert.deepEqual(paths.flat().toSorted(), keys)
      for (const [at, { text, files, rows, groupOf }] of statements.entries()) {
        assert.ok(text.length <= lengthMax)
        const own = FILES.filter(({ key }) => paths[at]!.includes(key))
        assert.equal(files, own.length)
        assert.equal(
          rows,
          own.reduce((sum, one) => sum + one.rows, 0),
        )
        if (groups === 'type') assert.ok(own.every(({ deviceType }) => deviceType === groupOf('')))
      }
    }
  }
  const least = groupsOf(5)
  assert.equal(
    partialStatements({ ...QUESTION, groups: least }, { ...PLACE, lengthMax: 1500 }),
    undefined,
  )
})

const groupsOf = (count: number): Map<string, string> =>
  new Map(Array.from({ length: count }, (_, at) => [`device ${'x'.repeat(100)} ${at}`, 'g']))

test('values are literals, times are whole µs, and a folder that tools may read otherwise is left', () => {
  const textOf = (question: Partial<PartialsQuestion>, time: 'bigint' | 'timestamp(6)'): string =>
    partialStatements({ ...QUESTION, ...question }, { ...PLACE, time, lengthMax: 1e6 })![0]!.text
  const text = textOf({}, 'bigint')
  assert.match(text, /metric = 'it''s'/)
  assert.match(text, /"time" >= -1 AND "time" < 2 /)
  assert.doesNotMatch(text, /tenant IN/)
  assert.match(text, /type IN \('t0', 't1', 't2'\)/)
  assert.match(textOf({ tenant: 'acme' }, 'bigint'), /tenant IN \('acme'\)/)
  assert.match(
    textOf({}, 'timestamp(6)'),
    /"time" >= TIMESTAMP '1969-12-31 23:59:59.999999' AND "time" < TIMESTAMP '1970-01-01 00:00:00.000002'/,
  )
})
