/** Storages that age their readings, with a clock of the test's own. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openFolderObjects } from '../objects/folder-objects.ts'
import type { Objects } from '../objects/objects.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { Ages } from './aging-plan.ts'
import type { EmbeddedStorage } from './embedded-storage.ts'
import { openStorage } from './open-storage.ts'
import { NOBODY } from './storage-options.ts'
import { ask, defineSeries, makeFolder, makeOutput } from './storage-fixture.ts'

export const HOUR_US = 3_600e6
export const DAY_US = 24 * HOUR_US
const START_US = Date.UTC(2026, 0, 1) * 1000
const AGES: Ages = { hotUs: 7 * DAY_US, warmUs: 90 * DAY_US, coldUs: 365 * DAY_US }
export const SERIES = [
  defineSeries(0, 'temperature'),
  defineSeries(1, 'state', { kind: 'text' }),
  defineSeries(2, 'short'),
]

type Store = EmbeddedStorage

export interface Opened {
  folder: string
  store: Store
  objects: Objects
  /** µs. */
  now: { us: number }
  aged: { moved: number; deleted: number }
}

/** Of a data folder. */
export const openCold = (folder: string): Promise<Objects> =>
  openFolderObjects({ ...nodeWorld, folder: join(folder, 'cold') })

export async function openAging(
  context: TestContext,
  how: {
    folder?: string
    nowUs?: number
    isExportedFirst?: boolean
    objects?: Objects
    /** Of the objects, by the storage's clock. */
    bucket?: (inner: Objects, now: { us: number }) => Objects
    agesOf?: (series: { metric: string }) => Ages
  } = {},
): Promise<Opened> {
  const folder = how.folder ?? join(await makeFolder(context), 'data')
  const now = { us: how.nowUs ?? START_US }
  const inner = how.objects ?? (await openCold(folder))
  const objects = how.bucket?.(inner, now) ?? inner
  const aged = { moved: 0, deleted: 0 }
  // Running time goes with the wall clock, so that it is no jump.
  const clock = { ...nodeWorld.clock, nowUs: () => now.us, monotonicMs: () => now.us / 1000 }
  const store = await openStorage({
    folder,
    world: { ...nodeWorld, clock },
    options: {
      mergeFanIn: 4,
      // What is kept says nothing of where readings are now.
      answersBytesMax: 0,
      aging: {
        ...{ objects, intervalMs: 1, isExportedFirst: how.isExportedFirst ?? false },
        agesOf:
          how.agesOf ??
          (({ metric }) => (metric === 'short' ? { ...AGES, coldUs: 91 * DAY_US } : AGES)),
      },
      listener: {
        ...NOBODY,
        mergeFailed: (cause) => assert.fail(String(cause)),
        aged: ({ moved, deleted }) => {
          aged.moved += moved
          aged.deleted += deleted
        },
        agingFailed: (cause) => {
          if ((cause as { code?: string }).code !== 'OBJECTS_UNAVAILABLE') throw cause
        },
      },
    },
  })
  let isOpen = true
  const close = store.close.bind(store)
  store.close = async () => {
    if (isOpen) await close()
    isOpen = false
  }
  context.after(() => store.close())
  return { folder, store, objects, now, aged }
}

/** A reading of each series every six hours for so many days, and the commits of each day. */
export async function writeDays({ store, now }: Opened, days: number): Promise<number> {
  let offset = store.statistics().lastCommitOffset
  for (let day = 0; day < days; day++) {
    const readings = Array.from({ length: 4 }, (_, quarter) => {
      const timeUs = now.us + quarter * 6 * HOUR_US
      const number = Math.round(timeUs / HOUR_US) % 977
      return [
        { series: 0, timeUs, value: number / 10 },
        { series: 1, timeUs, value: number % 3 },
        { series: 2, timeUs, value: number },
      ]
    }).flat()
    offset++
    const texts: [number, string][] = [
      [0, 'off'],
      [1, 'on'],
      [2, 'in "doubt"'],
    ]
    store.output(makeOutput({ offset, readings, series: SERIES, texts }))
    now.us += DAY_US
    await store.commit({ offset, parts: [] })
    await store.settle()
  }
  return offset
}

/** What all readings of a metric are at this time, behind a commit that says nothing. */
export async function lookAt({ store, now }: Opened, timeUs: number, metric = 'temperature') {
  now.us = timeUs
  const offset = store.statistics().lastCommitOffset + 1
  store.output(makeOutput({ offset, readings: [] }))
  await store.commit({ offset, parts: [] })
  await store.settle()
  return readAll(store, metric)
}

const everything = { startUs: 0, endUs: 4e15 }

export const readAll = async (store: Store, metric: string) =>
  store.readings(ask({ ...everything, metric }))
