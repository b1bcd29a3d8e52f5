/** A store whose months go to a lake in a folder, an eraser for it, and how that dies. */
import assert from 'node:assert/strict'
import { watched } from '../../src/lake/lake-fixture.ts'
import type { Objects } from '../../src/objects/objects.ts'
import type { Erasure } from '../../src/postgres/erasure-tables.ts'
import { openStoreEraser, type StoreEraser } from '../../src/postgres/store-eraser.ts'
import { ask, BASE_MS, defineSeries } from '../../src/query/query-fixture.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { HOUR_MS, KEPT, LIMITS, newPlace, openLake } from './cold-fixture.ts'
import { hashDevice, openTables, type TablesBench } from './postgres-bench.ts'
import { askOf, url } from './postgres-fixture.ts'

export const DEVICES = ['pump-1', 'pump-2', 'pump-3']
export const SERIES = DEVICES.flatMap((deviceId, at) => [
  defineSeries(2 * at, 'temperature', { deviceId }),
  defineSeries(2 * at + 1, 'mode', { deviceId, kind: 'text' }),
])
export const HOUR_US = HOUR_MS * 1000
export const BASE_US = BASE_MS * 1000
/** Of three months. */
export const HOURS = 90 * 24

let erasures = 0
export const erasureOf = (deviceIds: readonly string[], fromUs = -9e15, toUs = 4e15): Erasure => ({
  ...{ id: `e${++erasures}`, tenant: 'default', fromUs, toUs },
  devices: deviceIds.map((deviceId) => ({
    ...{ deviceId, deviceHash: hashDevice('default', deviceId) },
  })),
})

export interface Rig {
  tables: TablesBench
  eraser: StoreEraser
  lake: Objects
  place: { url: string; schema: string }
  /** Called before each request to the lake. */
  hooks: { onCall: (call: string, key: string) => void }
  run: (erasure: Erasure, isOver?: () => boolean) => Promise<boolean>
}

export async function open(t: { after: (close: () => Promise<void>) => void }): Promise<Rig> {
  const place = newPlace()
  const lake = await openLake()
  const hooks: Rig['hooks'] = { onCall: () => {} }
  const objects = watched(lake, (call, key) => hooks.onCall(call, key))
  const tables = await openTables(place, LIMITS, { aging: { objects, agesOf: () => KEPT } })
  const eraser = openStoreEraser({ place, objects, clock: nodeWorld.clock, name: 'cold' })
  t.after(async () => {
    await eraser.close()
    await tables.close()
  })
  const run: Rig['run'] = (erasure, isOver = () => false) => eraser.run(erasure, isOver)
  return { tables, eraser, lake, place, hooks, run }
}

export const points = async ({ tables }: Rig, deviceId: string, metric = 'temperature') =>
  (await tables.query.readings({ ...ask(), deviceId, metric })).points

/** Dies at a request to the lake, or stops between two transactions. */
export async function cut({ hooks, run }: Rig, erasure: Erasure, cutAt: number): Promise<number> {
  let left = cutAt
  hooks.onCall = () => {
    if (left-- <= 0) throw new Error('the power is out')
  }
  const isCut = await run(erasure, () => left-- <= 0).then(
    (isDone) => !isDone,
    (error: Error) => {
      assert.match(error.message, /the power is out/)
      return true
    },
  )
  hooks.onCall = () => {}
  return Number(isCut)
}

/** Those of a schema that have a row with these words anywhere. */
export async function tablesWith(schema: string, words: string, server = url): Promise<string[]> {
  const tables = await askOf(
    server,
    `SELECT table_name AS name FROM information_schema.tables
     WHERE table_schema = '${schema}' AND table_type = 'BASE TABLE'`,
  )
  const found: string[] = []
  for (const { name } of tables) {
    const [row] = await askOf(
      server,
      `SELECT count(*)::integer AS rows FROM ${schema}.${String(name)} AS one
       WHERE one::text LIKE '%${words}%'`,
    )
    if (row!['rows'] !== 0) found.push(String(name))
  }
  return found
}
