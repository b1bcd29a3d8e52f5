import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openEmbeddedBench } from '../storage/query-bench-fixture.ts'
import { defineSeries } from './query-fixture.ts'
import type { ScanStep } from './query.ts'
import { testScan } from './scan.conformance.ts'
import { scanDevices, type ScanSource } from './scan.ts'

testScan({
  ...{ name: 'files', runs: 12 },
  open: (limits) => openEmbeddedBench(limits, { isCommitted: true }),
})
testScan({
  ...{ name: 'memory', runs: 25 },
  open: (limits) => openEmbeddedBench(limits, { isCommitted: false }),
})

/** Devices with two series of these many readings each, one a ms. */
function sourceOf(counts: readonly number[]): ScanSource & { rowsAtOnce: number } {
  const devices = counts.map((_, at) =>
    [0, 1].map((of) => defineSeries(at * 2 + of, `metric-${of}`, { deviceId: `pump-${at}` })),
  )
  const source = {
    ...{ devices, devicesTotal: devices.length, devicesMax: 8, rowsAtOnce: 0 },
    pause: async () => {},
    look: (_: unknown, run: Parameters<ScanSource['look']>[1]) =>
      run({
        text: () => '',
        view: {
          completeness: 1,
          async readings(wanted, consume) {
            for (const { series, spans } of wanted) {
              const all = Array.from({ length: counts[series >> 1]! }, (_, at) => at * 1000)
              const [span] = spans
              const times = all.filter((time) => time >= span!.startUs && time < span!.endUs)
              const timeUs = Float64Array.from(times)
              const rows = { series: new Int32Array(times.length).fill(series), timeUs }
              consume({ ...rows, value: timeUs, count: times.length })
            }
          },
        },
      }) as never,
  }
  return source
}

test('V3 what is too much for one step comes in several, in order and whole', async () => {
  const counts = [3, 5000, 1, 0, 900, 7, 7, 7, 12_000, 2]
  const steps: ScanStep[] = []
  for await (const step of scanDevices(sourceOf(counts), { startUs: 0, endUs: 1e9 }, 1000))
    steps.push(step)
  const blocks = steps.flatMap((step) => step.blocks)
  const rows = steps.map((step) => step.blocks.reduce((sum, { count }) => sum + count, 0))
  assert.ok(Math.max(...rows) <= 1000, `${Math.max(...rows)} rows in one step`)
  const found = counts.map((_, at) => {
    const own = blocks.filter(({ series }) => series[0]!.deviceId === `pump-${at}`)
    assert.deepEqual(
      own.map(({ isLast }) => isLast),
      own.map((_, index) => index === own.length - 1),
    )
    const times = own.flatMap(({ timeUs }) => [...timeUs])
    assert.ok(times.every((time, row) => time === (row >> 1) * 1000))
    return times.length / 2
  })
  assert.deepEqual(found, counts)
  assert.deepEqual(steps.at(-1)!.devicesDone, counts.length)
})
