/** Cold files in the hands of somebody who has only them, and pyarrow. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { openAging, readAll, writeDays } from '../../src/storage/aging-fixture.ts'
import { execute } from '../cluster/process.ts'
import { pythonWithPyarrow } from './pyarrow.ts'

/** All rows as pyarrow finds them, folders as columns: [ms, value, text, metric, year, month]. */
const PROGRAM = `
import json, sys
import pyarrow.dataset as ds
table = ds.dataset(sys.argv[1], partitioning="hive").to_table()
at = table["time"].cast("timestamp[ms]").cast("int64").to_pylist()
columns = [table[name].to_pylist() for name in ("value", "text_value", "metric", "year", "month")]
rows = sorted(zip(at, *columns), key=lambda row: (row[3], row[0]))
types = {field.name: str(field.type) for field in table.schema}
json.dump({"rows": rows, "types": types}, sys.stdout)
`

interface Answer {
  rows: [number, number | null, string | null, string, number, number][]
  types: Record<string, string>
}

test('pyarrow reads cold files without Weir: every reading, the months as folders', async (context) => {
  const python = pythonWithPyarrow(context)
  if (python === undefined) return
  const opened = await openAging(context)
  await writeDays(opened, 160)
  const cold = join(opened.folder, 'cold', 'readings')
  const answer = execute(python, ['-c', PROGRAM, cold])
  const { rows, types } = JSON.parse(answer) as Answer

  // Of 160 days and a warm tier of 90, two months of the calendar are whole.
  const untilMs = Date.UTC(2026, 2, 1)
  for (const metric of ['temperature', 'state', 'short']) {
    const { points } = await readAll(opened.store, metric)
    const ofMetric = rows.filter((row) => row[3] === metric)
    assert.deepEqual(
      ofMetric.map(([ms, value, text]) => [ms, metric === 'state' ? text : value]),
      points.filter(([ms]) => ms < untilMs),
    )
  }
  for (const [ms, , , , year, month] of rows) {
    const at = new Date(ms)
    assert.deepEqual([year, month], [at.getUTCFullYear(), at.getUTCMonth() + 1])
  }
  assert.equal(types['value'], 'double')
  assert.equal(types['time'], 'timestamp[us, tz=UTC]')
})
