import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reader, readRecordsBatch } from '@platformatic/kafka'
import type { NewEntry } from './kafka.ts'
import { Lane, type Call } from './lane.ts'

const PARTITION = 3

const entriesOf = (count: number, bytes = 10): NewEntry[] =>
  Array.from({ length: count }, () => ({ partition: PARTITION, value: new Uint8Array(bytes) }))

function append(lane: Lane, entries: NewEntry[]) {
  const { promise, resolve, reject } = Promise.withResolvers<Map<number, number>>()
  promise.catch(() => undefined)
  const call: Call = {
    ...{ missing: entries.length, firstOffsets: new Map(), isRefused: false, resolve, reject },
  }
  lane.add(call, entries)
  return promise
}

/** What a broker would see of the batch that is to be sent. */
function seen(lane: Lane, bytesMax = 1 << 20) {
  const bytes = lane.take(bytesMax, 0)
  if (bytes === undefined) return undefined
  assert.ok(bytes.length <= bytesMax)
  const batch = readRecordsBatch(Reader.from(Buffer.from(bytes)))
  const { producerId, producerEpoch, firstSequence, records } = batch
  return [Number(producerId), producerEpoch, firstSequence, records.length]
}

function createLane(): Lane {
  const lane = new Lane(PARTITION)
  lane.identify(7n)
  return lane
}

test('what waits goes together, under the next sequence, and each call gets its offset', async () => {
  const lane = createLane()
  const first = append(lane, entriesOf(5))
  assert.deepEqual(seen(lane), [7, 0, 0, 5])
  const later = [append(lane, entriesOf(2)), append(lane, entriesOf(3))]
  assert.deepEqual(seen(lane), [7, 0, 0, 5], 'sent again as it was')
  lane.acknowledged(100)
  assert.deepEqual(await first, new Map([[PARTITION, 100]]))
  assert.deepEqual(seen(lane), [7, 0, 5, 5])
  lane.acknowledged(105)
  assert.deepEqual(
    (await Promise.all(later)).map((offsets) => offsets.get(PARTITION)),
    [105, 107],
  )
  assert.equal(lane.hasWork, false)
})

test('a call larger than a batch settles with its last one, at the offset of its first', async () => {
  const lane = createLane()
  const call = append(lane, entriesOf(25, 100))
  for (const [sequence, count] of [
    [0, 8],
    [8, 8],
    [16, 8],
    [24, 1],
  ] as const) {
    assert.deepEqual(seen(lane, 1000), [7, 0, sequence, count])
    lane.acknowledged(sequence)
  }
  assert.deepEqual(await call, new Map([[PARTITION, 0]]))
})

test('K3 after a failure all that waits is refused, and what follows is no repeat of it', async () => {
  const lane = createLane()
  const first = append(lane, entriesOf(5))
  seen(lane)
  lane.acknowledged(0)
  await first
  const failed = append(lane, entriesOf(2))
  seen(lane)
  const behind = append(lane, entriesOf(2))
  lane.fail(new Error('any'))
  await assert.rejects(failed, /any/)
  await assert.rejects(behind, /any/)
  assert.equal(lane.hasWork, false)
  void append(lane, entriesOf(2))
  assert.deepEqual(seen(lane), [7, 1, 0, 2])
})

test('a leader that forgot the sequence gets the same batch under the next epoch', () => {
  const lane = createLane()
  void append(lane, entriesOf(5))
  seen(lane)
  lane.acknowledged(0)
  void append(lane, entriesOf(2))
  assert.deepEqual(seen(lane), [7, 0, 5, 2])
  lane.renew()
  assert.deepEqual(seen(lane), [7, 1, 0, 2])
})

test('an entry that no batch takes refuses its call, and the calls around it go on', async () => {
  const lane = createLane()
  const before = append(lane, entriesOf(1))
  const wrong = append(lane, [...entriesOf(1), ...entriesOf(1, 5000), ...entriesOf(1)])
  const behind = append(lane, entriesOf(1))
  assert.deepEqual(seen(lane, 1000), [7, 0, 0, 2])
  lane.acknowledged(0)
  assert.deepEqual(await before, new Map([[PARTITION, 0]]))
  assert.deepEqual(seen(lane, 1000), [7, 0, 2, 1])
  await assert.rejects(wrong, { code: 'LOG_ENTRY_TOO_LARGE' })
  lane.acknowledged(2)
  assert.deepEqual(await behind, new Map([[PARTITION, 2]]))
})
