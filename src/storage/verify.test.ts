import assert from 'node:assert/strict'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openFolderObjects } from '../objects/folder-objects.ts'
import { nodeWorld } from '../world/node-world.ts'
import { openStorage } from './open-storage.ts'
import { defineSeries, makeFolder, makeOutput } from './storage-fixture.ts'
import type { Verification } from './verify.ts'

const DAY_US = 86_400e6
const START_US = Date.UTC(2026, 0, 1) * 1000

async function flip(path: string): Promise<void> {
  const bytes = await readFile(path)
  bytes[bytes.length >> 1]! ^= 4
  await writeFile(path, bytes)
}

test('every file is looked at, here and in the object store, and what is damaged is named', async (context) => {
  const folder = join(await makeFolder(context), 'data')
  let nowUs = START_US
  const clock = { ...nodeWorld.clock, nowUs: () => nowUs, monotonicMs: () => nowUs / 1000 }
  const objects = await openFolderObjects({ ...nodeWorld, folder: join(folder, 'cold') })
  const store = await openStorage({
    folder,
    world: { ...nodeWorld, clock },
    options: {
      aging: {
        ...{ objects, intervalMs: 1, isExportedFirst: false },
        agesOf: () => ({ hotUs: DAY_US, warmUs: 10 * DAY_US, coldUs: 1e17 }),
      },
    },
  })
  context.after(() => store.close())
  for (let offset = 0; offset < 60; offset++) {
    const readings = [{ series: 0, timeUs: nowUs, value: offset }]
    store.output(makeOutput({ offset, readings, series: [defineSeries(0, 'temperature')] }))
    nowUs += DAY_US
    await store.commit({ offset, parts: [] })
    await store.settle()
  }
  const verify = async (): Promise<Verification> => {
    let last: Verification | undefined
    await store.verify((progress) => (last = progress))
    return last!
  }
  const whole = await verify()
  assert.deepEqual(whole.damaged, [])
  assert.ok(whole.filesTotal >= 3 && whole.filesDone === whole.filesTotal)
  assert.equal(whole.bytesDone, whole.bytesTotal)

  const [segment = ''] = (await readdir(join(folder, 'segments'))).toSorted().toReversed()
  await flip(join(folder, 'segments', segment))
  const cold = await readdir(join(folder, 'cold'), { recursive: true, withFileTypes: true })
  const [file] = cold.filter(({ name }) => name.endsWith('.parquet'))
  await flip(join(file!.parentPath, file!.name))
  const { damaged } = await verify()
  assert.equal(damaged.length, 2, JSON.stringify(damaged))
  assert.ok(damaged.every(({ problem }) => problem.includes('checksum differs')))
  assert.ok(damaged.some((one) => one.file === segment && one.rows === 1))
  await rm(join(file!.parentPath, file!.name))
  const again = await verify()
  assert.ok(again.damaged.some(({ problem }) => problem === 'the file is missing'))
})
