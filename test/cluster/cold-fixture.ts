/** Lakes in folders, and readings by the hour, for tests of what leaves PostgreSQL. */
import { after } from 'node:test'
import { openFolderObjects } from '../../src/objects/folder-objects.ts'
import type { Objects } from '../../src/objects/objects.ts'
import { BASE_MS, defineSeries, type Given } from '../../src/query/query-fixture.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { makeFolder } from '../system/weir-process.ts'
import type { BenchAging } from './postgres-bench.ts'
import { url } from './postgres-fixture.ts'

export const LIMITS = { rowsMax: 1_000_000, windowsMax: 10_000 }
export const DAY_US = 86_400e6

let places = 0
export const newPlace = () => ({ url, schema: `weir_cold_${process.pid}_${++places}` })

const folder = await makeFolder({ after })
let lakes = 0
export const openLake = (): Promise<Objects> =>
  openFolderObjects({ ...nodeWorld, folder: `${folder}/lake-${++lakes}` })

export const KEPT = { warmUs: DAY_US, coldUs: 36_500 * DAY_US }
export const movesAll = async (): Promise<BenchAging> => ({
  objects: await openLake(),
  agesOf: () => KEPT,
})

export const SERIES = [
  defineSeries(0, 'temperature'),
  defineSeries(1, 'mode', { kind: 'text' }),
  defineSeries(2, 'running', { kind: 'boolean' }),
]
export const HOUR_MS = 3_600_000
/** A reading of each series at hours [from, to) behind the base; `add` makes other values. */
export const hourly = (from: number, to: number, add = 0): Given => ({
  series: from === 0 ? SERIES : [],
  readings: Array.from({ length: to - from }, (_, at) => from + at).flatMap((hour) => {
    const timeUs = (BASE_MS + hour * HOUR_MS) * 1000
    return [
      { series: 0, timeUs, value: hour + add },
      { series: 1, timeUs, value: `mode ${(hour % 3) + add}` },
      { series: 2, timeUs, value: (hour + add) % 2 === 0 },
    ]
  }),
})
/** Of three months. */
export const HOURS = 90 * 24
