/** A data folder of catalogue format 1, the one before decision 0006, opened by today's code. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { nodeWorld } from '../world/node-world.ts'
import { CATALOGUE_SCHEMA } from './catalogue-schema.ts'
import { openStorage } from './open-storage.ts'
import { segmentFile } from './segment-set.ts'
import { ask, defineSeries, makeFolder, makeOutput, writeOldReadings } from './storage-fixture.ts'

const FORMAT_1 = `
${CATALOGUE_SCHEMA}
INSERT INTO meta VALUES ('format', 1), ('covered_offset', 9), ('committed_at_us', 1);
INSERT INTO alerts VALUES ('episode-1', 'default', 'pump-1', 5, '{"state":"firing"}');
INSERT INTO series VALUES (1, 1, 'default', 'pump-1', 'generic', 'temperature', '[]', 'number');
`
const STATE = new Uint8Array(5000).fill(7)
const ROWS = Array.from({ length: 500 }, (_, row) => ({
  ...{ series: 1, timeUs: 1e15 + row * 1e7, value: row / 8 },
}))
const points = ROWS.map(({ timeUs, value }) => [timeUs / 1000, value])

async function makeOldFolder(folder: string): Promise<void> {
  await mkdir(`${folder}/segments`, { recursive: true })
  const file = segmentFile('readings', { first: 0, last: 9 })
  const { bytes } = await writeOldReadings(`${folder}/segments/${file}`, ROWS)
  await writeFile(`${folder}/state.bin`, STATE)
  const database = new DatabaseSync(`${folder}/catalogue.db`)
  database.exec(FORMAT_1)
  const segment = [file, 'readings', 0, 9, ROWS.length, bytes, 1, 1]
  database
    .prepare('INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
    .run(...segment, ROWS[0]!.timeUs, ROWS.at(-1)!.timeUs, 0)
  database
    .prepare('INSERT INTO state_parts VALUES (?, ?, ?, ?)')
    .run('windows', 0, STATE.length, crc32(STATE))
  database.close()
}

test('T1 a folder of format 1 is opened, answered from, written to and merged', async (context) => {
  const folder = await makeFolder(context)
  await makeOldFolder(folder)
  const open = () => openStorage({ folder, world: nodeWorld, options: { mergeFanIn: 2 } })
  const store = await open()
  const recovered = await store.recover()
  assert.equal(recovered.nextOffset, 10)
  assert.deepEqual(recovered.state, [{ name: 'windows', bytes: STATE }])
  const question = ask({ endUs: 2e15 })
  assert.deepEqual((await store.readings(question)).points, points)
  const later = ROWS.map((row) => ({ ...row, timeUs: row.timeUs + 1e12 }))
  store.output(
    makeOutput({ offset: 10, series: [defineSeries(1, 'temperature')], readings: later }),
  )
  await store.commit({ offset: 10, parts: [{ name: 'windows', bytes: STATE.slice(0, 50) }] })
  while (store.statistics().segmentCount > 1) await setImmediate()
  await store.close()
  const again = await open()
  context.after(() => again.close())
  assert.equal(again.statistics().readingsStored, 2 * ROWS.length)
  const both = [...points, ...later.map(({ timeUs, value }) => [timeUs / 1000, value])]
  assert.deepEqual((await again.readings(question)).points, both)
  assert.deepEqual((await again.recover()).state, [{ name: 'windows', bytes: STATE.slice(0, 50) }])
})

test('the alerts of an older folder are dropped: the control store has those that follow', async (context) => {
  const folder = await makeFolder(context)
  await makeOldFolder(folder)
  await (await openStorage({ folder, world: nodeWorld })).close()
  const database = new DatabaseSync(`${folder}/catalogue.db`)
  const left = "SELECT name FROM sqlite_schema WHERE name LIKE '%alert%' OR sql LIKE '%alert%'"
  assert.deepEqual(database.prepare(left).all(), [])
  database.close()
  const again = await openStorage({ folder, world: nodeWorld })
  context.after(() => again.close())
  assert.equal((await again.recover()).nextOffset, 10)
})

test('a folder of a later format is refused', async (context) => {
  const folder = await makeFolder(context)
  await makeOldFolder(folder)
  const database = new DatabaseSync(`${folder}/catalogue.db`)
  database.exec("UPDATE meta SET value = 99 WHERE key = 'format'")
  database.close()
  const opening = openStorage({ folder, world: nodeWorld })
  await assert.rejects(opening, { code: 'DATA_FORMAT_NEWER' })
})
