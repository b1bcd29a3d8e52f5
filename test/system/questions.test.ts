/** Questions to a whole engine over HTTP: kept answers, pages, forms, and clients that go. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadConfig } from '../../src/config/config.ts'
import { startEmbedded } from '../../src/embedded/embedded.ts'
import { defaultPlan } from '../../src/pipeline/compile.ts'

const START = Math.floor(Date.now() / 60_000) * 60_000 - 3_600_000
const SPAN = `start=${START}&end=${START + 1_000_000}`

type Call = Omit<RequestInit, 'headers'> & { headers?: Record<string, string> }

async function startEngine(context: TestContext, flags: Record<string, string | number> = {}) {
  const data = mkdtempSync(join(tmpdir(), 'weir-questions-'))
  const config = loadConfig({ flags: { data, 'http.port': 0, 'mqtt.port': 0, ...flags } })
  const engine = await startEmbedded({ config, plan: defaultPlan() })
  context.after(async () => {
    await engine.stop()
    rmSync(data, { recursive: true })
  })
  const headers = { authorization: `Bearer ${engine.adminKey}`, 'content-type': 'application/json' }
  const call = (path: string, { headers: more, ...init }: Call = {}) =>
    fetch(engine.httpUrl + path, { ...init, headers: { ...headers, ...more } })
  const created = await call('/v1/devices', {
    method: 'POST',
    body: '{"id":"pump-1","type":"generic"}',
  })
  assert.equal(created.status, 201, await created.text())
  return {
    call,
    async say(...atSeconds: number[]) {
      const messages = atSeconds.map((at) => ({ ts: START + at * 1000, temperature: at }))
      const body = JSON.stringify(messages)
      const path = '/v1/devices/pump-1/telemetry'
      const { status } = await call(path, { method: 'POST', body })
      assert.ok(status < 300, String(status))
    },
    /** Waits until so many readings are seen. */
    async see(count: number) {
      for (const endMs = performance.now() + 10_000; ;) {
        const answer = await (
          await call(`/v1/query?device_id=pump-1&metric=temperature&${SPAN}`)
        ).json()
        if (answer.points.length === count) return answer
        assert.ok(performance.now() < endMs, `${answer.points.length} readings are seen`)
      }
    },
  }
}

test('an answer is kept until a reading or an erasure changes it, and its tag with it', async (context) => {
  const { call, say, see } = await startEngine(context)
  const path = `/v1/query?metric=temperature&${SPAN}&agg=count&step=1m&group_by=device`
  const ask = async (tag?: string) => {
    const reply = await call(path, tag === undefined ? {} : { headers: { 'if-none-match': tag } })
    const text = await reply.text()
    return {
      status: reply.status,
      tag: reply.headers.get('etag')!,
      json: text === '' ? undefined : JSON.parse(text),
    }
  }
  await say(0, 1, 2)
  await see(3)
  const first = await ask()
  const again = await ask()
  assert.equal(again.json.meta.cached, true)
  assert.deepEqual(again.json.groups, first.json.groups)
  assert.equal((await ask(first.tag)).status, 304)
  await say(10)
  await see(4)
  const more = await ask(first.tag)
  assert.deepEqual([more.status, more.json.meta.cached], [200, false])
  assert.equal(more.json.groups[0].points[0][1], 4)
  // Of another metric: nothing has changed.
  const flow = JSON.stringify({ ts: START, flow: 1 })
  const told = await call('/v1/devices/pump-1/telemetry', { method: 'POST', body: flow })
  assert.ok(told.ok)
  assert.equal((await ask()).json.meta.cached, true)
  const erased = `/v1/devices/pump-1/data?from=${START}&to=${START + 5000}`
  assert.equal((await call(erased, { method: 'DELETE' })).status, 202)
  const left = await ask(more.tag)
  assert.deepEqual([left.status, left.json.meta.cached], [200, false])
  assert.equal(left.json.groups[0].points[0][1], 1)
  const metrics = await (await call('/metrics')).text()
  assert.match(metrics, /weir_cache_hits_total \d*[1-9]/)
})

test('pages walk through what memory and files hold', async (context) => {
  const { call, say, see } = await startEngine(context)
  const seconds = Array.from({ length: 500 }, (_, at) => at)
  await say(...seconds.slice(0, 250))
  assert.ok((await call('/v1/storage/flush', { method: 'POST' })).ok)
  await say(...seconds.slice(250))
  await see(500)
  const seen: number[] = []
  let cursor = ''
  do {
    const path = `/v1/query?device_id=pump-1&metric=temperature&${SPAN}&limit=77${cursor}`
    const { points, next } = await (await call(path)).json()
    seen.push(...points.map(([, value]: [number, number]) => value))
    cursor = next === null ? '' : `&cursor=${next}`
  } while (cursor !== '')
  assert.deepEqual(seen, seconds)
})

test('what is older than anything that is kept is refused, also as history', async (context) => {
  const { call } = await startEngine(context)
  const path = '/v1/devices/pump-1/telemetry?historical=true'
  const say = async (daysAgo: number) => {
    const body = JSON.stringify({ ts: Date.now() - daysAgo * 86_400_000, temperature: 1 })
    return call(path, { method: 'POST', body })
  }
  assert.equal((await say(7 * 365)).status, 200)
  const refused = await say(7 * 365 + 3)
  assert.equal(refused.status, 422)
  const { code, hint } = await refused.json()
  assert.equal(code, 'TIME_NOT_KEPT')
  assert.match(hint, /retention\.cold/)
})

test('days are compared with those before the clock went on, each at its own start', async (context) => {
  const { call } = await startEngine(context)
  const from = Date.UTC(2026, 2, 20)
  const body = JSON.stringify(
    Array.from({ length: 24 * 16 }, (_, at) => ({ ts: from + at * 3_600_000, temperature: at })),
  )
  const path = '/v1/devices/pump-1/telemetry?historical=true'
  assert.equal((await call(path, { method: 'POST', body })).status, 200)
  assert.ok((await call('/v1/storage/flush', { method: 'POST' })).ok)
  const days = 'start=2026-03-30T22:00:00Z&end=2026-04-02T22:00:00Z&step=1d&tz=Europe/Berlin'
  const points = [31, 32, 33].map((day) => [Date.UTC(2026, 2, day) - 2 * 3_600_000, 24])
  for (const more of ['device_id=pump-1', 'group_by=type']) {
    const asked = `/v1/query?metric=temperature&agg=count&${days}&${more}&compare=`
    const answer = await (await call(`${asked}7d`)).json()
    const [now, then] = [answer, answer.compare].map((one) => one.points ?? one.groups[0].points)
    assert.deepEqual(now, points)
    assert.deepEqual(then, points)
    const odd = await (await call(`${asked}36h`)).json()
    assert.match(odd.detail, /^compare: "36h" is no whole number of steps/)
  }
})

test('whoever goes frees the place of their question', async (context) => {
  const { call, say, see } = await startEngine(context, { 'query.concurrency': 1 })
  await say(0)
  await see(1)
  // Some go before the answer, some hear it: either way the place is free behind them.
  for (let at = 0; at < 40; at++) {
    const gone = new AbortController()
    const asked = call(
      `/v1/query?device_id=pump-1&metric=temperature&start=${at}&end=${START}&agg=p99`,
      {
        signal: gone.signal,
      },
    )
    setTimeout(() => gone.abort(), at % 5)
    await asked.catch(() => undefined)
  }
  await see(1)
  const metrics = await (await call('/metrics')).text()
  assert.match(metrics, /weir_api_questions_at_work\{kind="query"\} 0/)
  assert.match(metrics, /weir_api_questions_waiting\{kind="query"\} 0/)
})
