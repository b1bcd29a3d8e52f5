import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { WeirError } from '../../src/errors/errors.ts'
import {
  entryAt,
  feed,
  LIMITS,
  nextOffset,
  openWriter,
  rowsOf,
  rowsUpTo,
} from '../../src/lake/lake-fixture.ts'
import { testLake } from '../../src/lake/lake.conformance.ts'
import { createBucket, openBucket, skip } from './buckets.ts'
import { killService, restartService } from './cluster.ts'

testLake({
  name: 'MinIO',
  skip,
  createObjects: async () => openBucket(await createBucket()),
})

test('L1 L3 MinIO killed again and again: every row is in the lake once', { skip }, async () => {
  const objects = openBucket(await createBucket())
  const limits = { ...LIMITS, commitReadings: 300, readingsHeldMax: 3000 }
  let writer = await openWriter(objects, { partitions: [0], limits })
  const failures = new Set<string>()
  let [offset, commits, fulls, isOver] = [0, 0, 0, false]
  const work = (async () => {
    while (!isOver) {
      if (writer.hasRoom) writer.append(entryAt(0, offset++))
      else fulls++
      const isFailing = failures.size > 0 && !writer.hasRoom
      if (!writer.isDue && !isFailing) continue
      try {
        await writer.commit()
        commits++
      } catch (error) {
        failures.add((error as WeirError).code)
        await delay(20)
      }
    }
  })()
  for (let kill = 0; kill < 3; kill++) {
    const before = commits
    while (commits < before + 2) await delay(5)
    // In the middle of whatever the writer is about.
    await delay(kill * 7)
    await killService('minio')
    await delay(300)
    await restartService('minio')
  }
  const before = commits
  while (commits < before + 2) await delay(5)
  isOver = true
  await work
  assert.deepEqual([...failures], ['OBJECTS_UNAVAILABLE'])
  assert.ok(fulls > 0, 'it said that it is full')
  assert.equal(nextOffset(await writer.commit(), 0), offset)
  // As after a crash: what is not committed is read again.
  await feed(writer, { 0: offset + 2 }, { commits: false })
  writer = await openWriter(objects, { partitions: [0], limits })
  await feed(writer, { 0: offset + 5 })
  await writer.commit()
  assert.deepEqual(await rowsOf(objects), rowsUpTo({ 0: offset + 5 }))
  objects.close()
})
