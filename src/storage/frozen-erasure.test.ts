/** An erasure where some of it is in the archive of the bucket. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY_US, lookAt, openAging, writeDays } from './aging-fixture.ts'
import { withLifecycle } from './bucket-fixture.ts'
import type { Erasure } from './erasure-tables.ts'

const PER_DAY = 4

test('what is frozen is hidden for good, named, and erased when it was asked back', async (context) => {
  const opened = await openAging(context, {
    bucket: withLifecycle,
    agesOf: () => ({ hotUs: 7 * DAY_US, warmUs: 90 * DAY_US, coldUs: 1e17 }),
  })
  const { store, now } = opened
  const freeze = { afterDays: 30, storageClass: 'GLACIER' }
  await store.frozen.setRule({ freeze, expireAfterDays: undefined })
  const startUs = now.us
  await writeDays(opened, 125)
  const look = (day: number) => lookAt(opened, startUs + day * DAY_US)
  const erasure = (id: string): Erasure => ({
    ...{ id, tenant: 'default', deviceIds: ['pump-1'], requestedAtUs: now.us, events: 0 },
    ...{ fromUs: startUs + 20 * DAY_US, toUs: startUs + 40 * DAY_US, receipt: undefined },
  })
  const erase = async (id: string): Promise<(readonly [string, number])[]> => {
    await store.erasures.begin(erasure(id))
    const { files } = await store.erasures.run(id)
    await store.erasures.finish(id, '{}')
    return files.filter(({ place }) => place !== 'rollups').map(({ place, rows }) => [place, rows])
  }
  // January is in the bucket since day 121, and February on the disk.
  assert.equal((await look(155)).points.length, (125 - 31) * PER_DAY)
  const found = await erase('first')
  assert.deepEqual(
    found.filter(([place]) => place === 'frozen'),
    [['frozen', 0]],
  )
  assert.equal(
    found.reduce((sum, [, rows]) => sum + rows, 0),
    9 * PER_DAY * 3,
  )
  assert.equal((await look(156)).points.length, (125 - 40) * PER_DAY)

  await store.frozen.restore({ startUs, endUs: startUs + 31 * DAY_US }, 7)
  const thawed = await look(157)
  assert.equal(thawed.meta.completeness, 1)
  assert.equal(thawed.points.length, (125 - 20) * PER_DAY, 'nothing of it comes back')
  assert.deepEqual(await erase('second'), [['cold', 11 * PER_DAY * 3]])
  assert.equal((await look(158)).points.length, (125 - 20) * PER_DAY)
})
