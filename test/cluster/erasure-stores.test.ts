/**
 * Erasing with hot storage on two PostgreSQL: an owner has a device in each, one of them is away
 * when it is asked for, and everything comes again.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { deviceKey, hashKey } from '../../src/entries/entries.ts'
import { makeFolder, until } from '../system/weir-process.ts'
import {
  Installation,
  pointsOf,
  receiptOf,
  SECRET,
  skip,
  untilPoints,
} from './erasure-role-fixture.ts'
import { url } from './postgres-fixture.ts'
import { openSecondPostgres, type SecondPostgres } from './postgres-stores.ts'

const folder = await makeFolder({ after })
let second: SecondPostgres | undefined
before(async () => {
  if (skip === undefined) second = await openSecondPostgres()
})
after(() => second?.close())

/** Of each owner one device in each store. */
const [NEAR, FAR, OTHER_NEAR, OTHER_FAR] = ['pump-1', 'pump-2', 'well-1', 'well-2'] as const
const DEVICES = [NEAR, FAR, OTHER_NEAR, OTHER_FAR]
const ERASED: string[] = [NEAR, FAR]
const OTHERS = [OTHER_NEAR, OTHER_FAR]

const isInSecond = (device: string): boolean =>
  hashKey(deviceKey('default', device)) >>> 0 >= 0x8000_0000

test('an owner with devices in two stores is erased in both', { skip }, async (t) => {
  assert.deepEqual(DEVICES.map(isInSecond), [false, true, false, true])
  const at = await Installation.create({
    ...{ folder, devices: DEVICES },
    stores: [
      { range: '0-0x7fffffff', url },
      { range: '0x80000000-0xffffffff', url: second!.url },
    ],
  })
  t.after(() => at.close())
  let process = await at.start()
  const ownerOf = (id: string): string => (ERASED.includes(id) ? 'ann' : 'bob')
  await Promise.all(DEVICES.map((id) => process.register({ id, tags: { owner: ownerOf(id) } })))
  const [older, newer] = [at.oldMessages(), at.newMessages()]
  await at.append([...older, ...newer])
  for (const device of DEVICES) await untilPoints(process, device, 80)
  for (const device of DEVICES) await at.untilInLake(device, 160)
  // What is old leaves each PostgreSQL at a start.
  await process.kill()
  process = await at.start()
  await at.untilMonthsLeft()
  const others = await Promise.all(OTHERS.map((device) => pointsOf(process, device)))
  for (const device of ERASED) {
    assert.ok((await at.placesOf(`${SECRET} of ${device}`)).length > 0)
  }

  // Nothing is promised that one of the stores cannot hold; but it is noted.
  await second!.kill()
  const path = '/v1/owners/ann/data'
  const refused = await process.api<{ code: string; id: string }>(path, { method: 'DELETE' })
  const { code, id: noted } = refused.body
  assert.deepEqual([refused.status, code], [503, 'STORAGE_UNAVAILABLE'])
  await second!.restart()
  await until('the store is there again', async () => {
    return (await process.api(path, { method: 'DELETE' })).status === 202
  })
  for (const device of ERASED) assert.deepEqual(await pointsOf(process, device), [])
  await process.kill()
  process = await at.start()
  const { erasure } = await receiptOf(process, noted)
  // Each store's months are rewritten.
  const cold = erasure.files.filter(({ place }) => place === 'cold')
  assert.equal(new Set(cold.map(({ file }) => file.includes('cold_80000000'))).size, 2)
  for (const device of ERASED) assert.deepEqual(await at.placesOf(`${SECRET} of ${device}`), [])

  const now = at.messagesAt([Date.now()])
  await at.append([...older, ...newer, ...now])
  for (const device of ERASED) {
    await untilPoints(process, device, 1)
    assert.deepEqual(await pointsOf(process, device), [[now[0]!.ms, 0]])
    await at.untilInLake(device, 2)
  }
  for (const [one, device] of OTHERS.entries()) {
    assert.deepEqual((await pointsOf(process, device)).slice(0, -1), others[one])
  }
  assert.equal((await process.stop()).code, 0)
})
