import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesPerDay, diskFullInDays } from './report.ts'
import type { Segment } from './segment-set.ts'

const DAY_US = 86_400e6
const NOW_US = Date.UTC(2026, 5, 1) * 1000

const segment = (fromDays: number, toDays: number, bytes: number, isCold = false): Segment => ({
  ...{ kind: 'readings', file: 'x', isCold, firstOffset: 0, lastOffset: 0, rows: 1, bytes },
  ...{ minSeries: 0, maxSeries: 0, hasUnverified: false, tail: undefined, crc: 0 },
  minTimeUs: NOW_US - fromDays * DAY_US,
  maxTimeUs: NOW_US - toDays * DAY_US,
})

test('the rate is that of the last week, or of what there is, and needs an hour', () => {
  const old = segment(40, 10, 1e9)
  const week = [segment(7, 3, 400), segment(3, 0, 300), segment(6, 5, 1e9, true)]
  assert.equal(bytesPerDay([old, ...week], NOW_US), 100)
  assert.equal(bytesPerDay([segment(2, 0, 300)], NOW_US), 150)
  assert.equal(bytesPerDay([segment(0.01, 0, 300)], NOW_US), undefined)
  assert.equal(bytesPerDay([old], NOW_US), undefined)
})

test('a disk that takes all that stays on it is never full', () => {
  const full = { perDay: 100, freeBytes: 1000, usedBytes: 500, keptDays: 90 }
  assert.equal(diskFullInDays(full), 10)
  assert.equal(diskFullInDays({ ...full, keptDays: 15 }), undefined)
  assert.equal(diskFullInDays({ ...full, perDay: undefined }), undefined)
})
