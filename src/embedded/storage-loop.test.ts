/** What a storage stage tells its neighbours of where it begins. */
import assert from 'node:assert/strict'
import { truncateSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openStorage } from '../storage/open-storage.ts'
import { defineSeries, makeFolder, makeOutput } from '../storage/storage-fixture.ts'
import { nodeWorld } from '../world/node-world.ts'
import { StorageLoop } from './storage-loop.ts'
import type { StreamControl } from './threads.ts'

test('a lost state is told with the time of the last commit, a state that is there is not', async (context) => {
  const folder = await makeFolder(context)
  const starting = async () => {
    const storage = await openStorage({ folder, world: nodeWorld })
    const told: StreamControl[] = []
    const loop = new StorageLoop({
      ...{ storage, clock: nodeWorld.clock, memoryReadingsMax: 1000 },
      toStream: (message) => told.push(message),
      toGateway: () => undefined,
      commitFailed: (_, error) => assert.fail(String(error)),
      commitRecovered: () => assert.fail('nothing failed'),
    })
    await loop.start()
    return { storage, loop, told }
  }
  const first = await starting()
  assert.equal(first.loop.stateLostAtUs, undefined, 'a fresh folder')
  const readings = [{ series: 1, timeUs: 1000, value: 1 }]
  const series = [defineSeries(1, 'temperature')]
  first.loop.take({ output: makeOutput({ offset: 0, series, readings }) })
  const parts = [{ name: 'windows', bytes: new Uint8Array(5000).fill(1) }]
  await first.storage.commit({ offset: 0, parts })
  const { lastCommitAtUs } = first.storage.statistics()
  assert.ok(lastCommitAtUs > 0)
  await first.loop.stop()
  const second = await starting()
  assert.equal(second.loop.stateLostAtUs, undefined)
  await second.loop.stop()
  truncateSync(join(folder, 'state.bin'), 0)
  const third = await starting()
  context.after(() => third.loop.stop())
  assert.equal(third.loop.stateLostAtUs, lastCommitAtUs)
  const [message] = third.told
  assert.ok(message !== undefined && 'recovered' in message)
  assert.notEqual(message.recovered.floors, undefined)
})
