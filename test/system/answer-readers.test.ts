/** Answers as Arrow and Parquet in the hands of pyarrow. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startBench } from '../../src/api/testing/api-bench.ts'
import { execute } from '../cluster/process.ts'
import { pythonWithPyarrow } from './pyarrow.ts'

/** Of each file: its columns' types, and its rows with times in µs. */
const PROGRAM = `
import json, sys
import pyarrow as pa, pyarrow.parquet as pq
tables = []
for name in sys.argv[1:]:
    table = pq.read_table(name) if name.endswith("parquet") else pa.ipc.open_stream(name).read_all()
    table.validate(full=True)
    types = [[field.name, str(field.type), field.nullable] for field in table.schema]
    columns = [table[table.column_names[0]].cast("int64").to_pylist()]
    columns += [table[name].to_pylist() for name in table.column_names[1:]]
    tables.append({"types": types, "rows": list(zip(*columns))})
json.dump(tables, sys.stdout)
`

const START = Date.UTC(2026, 0, 1)
const TIME = ['time', 'timestamp[us, tz=UTC]', false]

test('pyarrow reads answers as Arrow and as Parquet, of every kind', async (context) => {
  const python = pythonWithPyarrow(context)
  if (python === undefined) return
  const folder = mkdtempSync(join(tmpdir(), 'weir-answers-'))
  const bench = await startBench()
  context.after(async () => {
    await bench.close()
    rmSync(folder, { recursive: true })
  })
  const body = Array.from({ length: 40 }, (_, at) => ({
    ts: START + at * 1000 + (at === 1 ? 0.125 : 0),
    ...{ level: at / 3, open: at % 3 === 0, state: at % 2 === 0 ? 'läuft' : '' },
    ...(at === 5 ? {} : { rare: at }),
  }))
  for (const [id, tags] of [
    ['one', { site: 'west' }],
    ['two', {}],
  ] as const) {
    const key = await bench.createDevice(id, { tags })
    await bench.call('POST /v1/telemetry', { key, body })
  }
  const us = (at: number): number => (START + at * 1000) * 1000 + (at === 1 ? 125 : 0)
  const all = [...body.keys()]
  const span = `start=${START}&end=${START + 40_000}`
  const ofWindows = 'window=1m&device_id=one&metric=rare'
  const { json } = await bench.call(`GET /v1/aggregations?${ofWindows}&${span}`, {
    key: bench.admin,
  })
  const windows = json.windows as ({ window_start: number } & Record<string, number>)[]
  assert.deepEqual(
    windows.map(({ count, first, last }) => [count, first, last]),
    [[39, 0, 39]],
  )
  const cases: [question: string, types: unknown[], rows: unknown[][]][] = [
    [
      `aggregations?${ofWindows}`,
      [
        ['window_start', ...TIME.slice(1)],
        ...['count', 'sum', 'avg', 'min', 'max'].map((name) => [name, 'double', false]),
        ['stddev', 'double', true],
        ...['first', 'last'].map((name) => [name, 'double', false]),
      ],
      windows.map(({ window_start, ...numbers }) => [
        window_start * 1000,
        ...Object.values(numbers),
      ]),
    ],
    [
      'query?device_id=one&metric=level',
      [TIME, ['value', 'double', true]],
      all.map((at) => [us(at), at / 3]),
    ],
    [
      'query?device_id=one&metric=open',
      [TIME, ['value', 'bool', true]],
      all.map((at) => [us(at), at % 3 === 0]),
    ],
    [
      'query?device_id=one&metric=state&limit=9',
      [TIME, ['value', 'string', true]],
      all.slice(0, 9).map((at) => [us(at), at % 2 === 0 ? 'läuft' : '']),
    ],
    ['query?device_id=one&metric=none', [TIME, ['value', 'double', true]], []],
    [
      'query?metric=level&agg=count&group_by=tag:site',
      [TIME, ['tag:site', 'string', true], ['value', 'double', true]],
      [
        [us(0), null, 40],
        [us(0), 'west', 40],
      ],
    ],
    [
      'query?metric=rare&agg=sum&step=1s&group_by=device&fill=null&box=-180,-90,180,90',
      [TIME, ['device_id', 'string', true], ['value', 'double', true]],
      [],
    ],
    [
      'query?metric=rare&agg=sum&step=1s&group_by=device&fill=null&tag=site=west',
      [TIME, ['device_id', 'string', true], ['value', 'double', true]],
      all.map((at) => [START * 1000 + at * 1e6, 'one', at === 5 ? null : at]),
    ],
  ]
  const files: string[] = []
  for (const [at, [question]] of cases.entries()) {
    for (const format of ['arrow', 'parquet'] as const) {
      const mediaType = `application/vnd.apache.${format === 'arrow' ? 'arrow.stream' : format}`
      const url = `http://127.0.0.1:${bench.port}/v1/${question}&${span}`
      const authorization = `Bearer ${bench.admin}`
      const byAccept = await fetch(url, { headers: { authorization, accept: mediaType } })
      assert.deepEqual([byAccept.status, byAccept.headers.get('content-type')], [200, mediaType])
      const bytes = Buffer.from(await byAccept.arrayBuffer())
      const byName = await fetch(`${url}&format=${format}`, { headers: { authorization } })
      assert.deepEqual(Buffer.from(await byName.arrayBuffer()), bytes)
      const file = join(folder, `${at}.${format}`)
      writeFileSync(file, bytes)
      files.push(file)
    }
  }
  const tables = JSON.parse(execute(python, ['-c', PROGRAM, ...files])) as {
    types: unknown
    rows: unknown
  }[]
  for (const [at, [question, types, rows]] of cases.entries()) {
    for (const table of tables.slice(at * 2, at * 2 + 2)) {
      assert.deepEqual(table, { types, rows }, question)
    }
  }
})
