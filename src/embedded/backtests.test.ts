/** Back-tests in a thread of their own: started, ended, one at a time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WeirError } from '../errors/errors.ts'
import { compileRule, defaultPlan } from '../pipeline/compile.ts'
import { defineSeries } from '../query/query-fixture.ts'
import type { ScanStep } from '../query/query.ts'
import { ThreadBacktests, type ServeScan } from './backtests.ts'
import { serveScan } from './scan-port.ts'

const plan = defaultPlan()
const rule = compileRule({ id: 'hot', when: 'temperature > 80', for: '30s' }, plan)
const question = { tenant: 'default', rules: [rule], facts: [], startUs: 0, endUs: 86_400e6 }
const quietly = { onProgress: () => {}, signal: new AbortController().signal }

/** One device that is hot for a minute in every hour. */
const step: ScanStep = {
  ...{ devicesDone: 1, devicesTotal: 1, completeness: 1 },
  blocks: [
    {
      series: [defineSeries(0, 'temperature')],
      ...{ texts: [], count: 1440, place: undefined, isLast: true },
      timeUs: Float64Array.from({ length: 1440 }, (_, minute) => minute * 60e6),
      value: Float64Array.from({ length: 1440 }, (_, minute) => (minute % 60 === 0 ? 81 : 79)),
    },
  ],
}

const serving =
  (steps: () => AsyncGenerator<ScanStep, void>): ServeScan =>
  (_, port) =>
    serveScan(port, steps())

test('readings go to the thread, and its report comes back', async () => {
  const backtests = new ThreadBacktests(
    plan,
    serving(async function* () {
      yield structuredClone(step)
    }),
  )
  const told: number[] = []
  const onProgress = ({ readings }: { readings: number }): void => void told.push(readings)
  const report = await backtests.start(question, { ...quietly, onProgress })
  assert.deepEqual(told, [1440])
  const [hot] = report.rules
  assert.deepEqual([hot!.episodes, hot!.alerts, hot!.firingUs], [24, 24, 24 * 30e6])
})

test('one at a time; who ends it ends the scan, and the next may start', async () => {
  const ended = Promise.withResolvers<void>()
  let wantsMore = Promise.withResolvers<void>()
  const backtests = new ThreadBacktests(
    plan,
    serving(async function* () {
      try {
        for (;;) {
          yield structuredClone(step)
          wantsMore.resolve()
          await new Promise(setImmediate)
        }
      } finally {
        ended.resolve()
      }
    }),
  )
  const abort = new AbortController()
  const running = backtests.start(question, { ...quietly, signal: abort.signal })
  assert.throws(() => backtests.start(question, quietly), { code: 'BACKTEST_RUNNING' })
  await wantsMore.promise
  abort.abort(new Error('enough'))
  await assert.rejects(running, /enough/)
  await ended.promise
  wantsMore = Promise.withResolvers<void>()
  const second = new AbortController()
  const next = backtests.start(question, { ...quietly, signal: second.signal })
  await wantsMore.promise
  second.abort(new Error('enough again'))
  await assert.rejects(next, /enough again/)
})

test('a scan that fails fails the back-test by its code', async () => {
  const backtests = new ThreadBacktests(
    plan,
    serving(async function* () {
      yield structuredClone(step)
      throw new WeirError('STORAGE_UNAVAILABLE', 'the database is gone')
    }),
  )
  const failure = { code: 'STORAGE_UNAVAILABLE', message: /the database is gone/ }
  await assert.rejects(backtests.start(question, quietly), failure)
})
