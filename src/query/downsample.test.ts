import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Downsampling } from './downsample.ts'

const rowsOf = (readings: [number, number][]) => ({
  count: readings.length,
  series: new Int32Array(readings.length),
  timeUs: Float64Array.from(readings, ([time]) => time),
  value: Float64Array.from(readings, ([, value]) => value),
})

const readings = fc.uniqueArray(
  fc.tuple(fc.integer({ min: 0, max: 1e12 }), fc.integer({ min: -1000, max: 1000 })),
  { minLength: 1, maxLength: 500, selector: ([time]) => time },
)

test('downsampling keeps the first, lowest, highest and last of every bucket, in time order, within the limit', () => {
  fc.assert(
    fc.property(readings, fc.integer({ min: 2, max: 60 }), (all, pointsMax) => {
      const downsampling = new Downsampling(pointsMax, false)
      for (let from = 0; from < all.length; from += 50) {
        downsampling.add(rowsOf(all.slice(from, from + 50)))
      }
      const points = downsampling.points()
      assert.ok(points.length <= pointsMax)
      const bucketOf = (timeUs: number): number => Math.floor(timeUs / downsampling.widthUs)
      const buckets = Map.groupBy(all, ([time]) => bucketOf(time))
      for (const [bucket, inside] of buckets) {
        const values = inside.map(([, value]) => value)
        const kept = points.filter(({ timeUs }) => bucketOf(timeUs) === bucket)
        assert.equal(Math.min(...kept.map(({ value }) => value)), Math.min(...values))
        assert.equal(Math.max(...kept.map(({ value }) => value)), Math.max(...values))
        if (pointsMax < 4) continue
        const times = inside.map(([time]) => time)
        assert.equal(kept[0]!.timeUs, Math.min(...times))
        assert.equal(kept.at(-1)!.timeUs, Math.max(...times))
      }
      for (const { timeUs, value } of points) {
        assert.ok(all.some(([time, one]) => time === timeUs && one === value))
      }
      const times = points.map(({ timeUs }) => timeUs)
      assert.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
      )
    }),
  )
})

test('downsampling by time keeps the first and the last of all', () => {
  const downsampling = new Downsampling(4, true)
  downsampling.add(rowsOf(Array.from({ length: 1000 }, (_, at) => [at * 1e6, (at * 7) % 13])))
  const points = downsampling.points()
  assert.deepEqual([points[0]?.timeUs, points.at(-1)?.timeUs], [0, 999e6])
})
