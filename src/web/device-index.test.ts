import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeviceIndex, type DeviceView } from './device-index.ts'

const nothing: ReadonlySet<string> = new Set()
const view = (changes: Partial<DeviceView>): DeviceView => ({
  search: '',
  order: 'name',
  firing: nothing,
  ...changes,
})

const fleet = (): DeviceIndex => {
  const index = new DeviceIndex()
  index.add([
    { id: 'pump-10', type: 'pump', location: 'Hall 3' },
    { id: 'pump-2', type: 'pump', location: 'Roof', tags: { owner: 'Ada' } },
    { id: 'boiler-1', type: 'boiler', location: null },
  ])
  return index
}

const ids = (index: DeviceIndex, changes: Partial<DeviceView>): string[] =>
  index.find(view(changes)).map((row) => row.id)

test('numbers inside names are ordered as numbers', () => {
  assert.deepEqual(ids(fleet(), {}), ['boiler-1', 'pump-2', 'pump-10'])
  assert.deepEqual(ids(fleet(), { order: 'name-descending' }), ['pump-10', 'pump-2', 'boiler-1'])
})

test('every word of a search must occur, in id, type, location or tags, in any case', () => {
  assert.deepEqual(ids(fleet(), { search: ' PUMP  hall' }), ['pump-10'])
  assert.deepEqual(ids(fleet(), { search: 'ada' }), ['pump-2'])
  assert.deepEqual(ids(fleet(), { search: 'pump cellar' }), [])
})

test('devices with a firing rule come first, in order of names', () => {
  const firing = new Set(['pump-10'])
  assert.deepEqual(ids(fleet(), { order: 'firing', firing }), ['pump-10', 'boiler-1', 'pump-2'])
})

test('a device that is listed again is there once, as it is now', () => {
  const index = fleet()
  index.add([{ id: 'pump-2', type: 'pump', location: 'Cellar' }])
  assert.equal(index.count, 3)
  assert.deepEqual(ids(index, { search: 'cellar' }), ['pump-2'])
  assert.deepEqual(ids(index, { search: 'roof' }), [])
})

test('of 50,000 devices those are found whose names begin so', () => {
  const index = new DeviceIndex()
  index.add(Array.from({ length: 50_000 }, (_, i) => ({ id: `device-${i}`, type: 'generic' })))
  assert.equal(ids(index, {}).length, 50_000)
  assert.equal(ids(index, { search: 'device-4999' }).length, 11)
})
