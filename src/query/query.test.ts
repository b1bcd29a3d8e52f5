import { test } from 'node:test'
import assert from 'node:assert/strict'
import { openEmbeddedBench } from '../storage/query-bench-fixture.ts'
import { ask, defineSeries } from './query-fixture.ts'
import { testQuery } from './query.conformance.ts'

testQuery({
  name: 'embedded, from files',
  tier: 'hot',
  open: (limits) => openEmbeddedBench(limits, { isCommitted: true }),
})

test('readings in memory answer as those in files', async () => {
  const limits = { rowsMax: 50, windowsMax: 10 }
  const { query, give, close } = await openEmbeddedBench(limits, { isCommitted: false })
  try {
    const readings = Array.from({ length: 100 }, (_, at) => ({
      ...{ series: 0, timeUs: at * 1000, value: at === 57 ? 1000 : at % 10 },
    }))
    await give({ series: [defineSeries(0, 'temperature')], readings })
    await assert.rejects(query.readings(ask()), { code: 'QUERY_LIMIT_EXCEEDED' })
    const { points, meta } = await query.readings(ask({ startUs: 50_000, pointsMax: 10 }))
    assert.ok(points.length <= 10)
    assert.ok(points.some(([time, value]) => time === 57 && value === 1000))
    assert.deepEqual(meta.tiers, ['memory'])
  } finally {
    await close()
  }
})

test('a question that ended reads no further file', async () => {
  const files = 20
  const { query, give, close } = await openEmbeddedBench(
    { rowsMax: 1_000_000, windowsMax: 10 },
    { isCommitted: true },
  )
  try {
    await give({ series: [defineSeries(0, 'temperature')], readings: [] })
    for (let at = 0; at < files; at++) {
      await give({ readings: [{ series: 0, timeUs: at * 1e6, value: at }] })
    }
    const reason = new Error('gone')
    const ended = new AbortController()
    ended.abort(reason)
    for (const aggregate of [undefined, 'avg', 'p50'] as const) {
      await assert.rejects(query.readings(ask({ aggregate }), ended.signal), reason)
    }
    const groups = { ...ask(), aggregate: 'avg', groups: 'all' } as const
    await assert.rejects(query.groups(groups, ended.signal), reason)
    await assert.rejects(query.windows({ ...ask(), windowMs: 60_000 }, ended.signal), reason)
    assert.equal((await query.readings(ask())).points.length, files)
  } finally {
    await close()
  }
})
