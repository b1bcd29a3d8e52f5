import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBench } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
before(async () => void (bench = await startBench()))
after(() => bench.close())

test('health says that the process lives, ready says what is missing', async () => {
  assert.deepEqual((await bench.call('GET /health')).json, { status: 'pass', name: 'weir' })
  bench.unready.push('storage recovers', 'the MQTT port is not open')
  const waiting = await bench.call('GET /ready')
  assert.deepEqual([waiting.status, waiting.json.code], [503, 'API_NOT_READY'])
  assert.equal(waiting.json.detail, 'storage recovers; the MQTT port is not open')
  assert.equal(waiting.headers['retry-after'], '1')
  assert.equal((await bench.call('GET /health')).status, 200)
  bench.unready.length = 0
  assert.deepEqual((await bench.call('GET /ready')).json, { status: 'ready' })
})

test('InfluxDB’s clients find whom they look for', async () => {
  for (const target of ['GET /ping', 'GET /api/v2/ping', 'HEAD /ping', 'GET /ping?verbose=true']) {
    const { status, headers } = await bench.call(target)
    assert.deepEqual([status, headers['x-influxdb-version']], [204, '2.0.0-weir'], target)
  }
})

test('metrics are Prometheus’ text, one HELP and TYPE a family', async () => {
  const { text, headers } = await bench.call('GET /metrics')
  assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  const names = Array.from(
    text.matchAll(/^# TYPE (\S+) (counter|gauge|histogram)$/gm),
    ([, name]) => name,
  )
  assert.deepEqual(names, [...new Set(names)])
  for (const line of text.trim().split('\n')) {
    assert.match(
      line,
      /^(# (HELP|TYPE) weir_\w+ .+|weir_\w+(\{(\w+="[^"]*",?)+\})? (\+Inf|NaN|-?[\d.e+-]+))$/,
    )
  }
})
