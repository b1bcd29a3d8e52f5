import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBench } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
const START = Date.UTC(2026, 0, 1)

before(async () => {
  bench = await startBench()
  const key = await bench.createDevice('pump-1', { type: 'pump' })
  const body = Array.from({ length: 120 }, (_, at) => ({
    ...{ ts: START + at * 1000, temperature: 20 + at },
  }))
  await bench.call('POST /v1/telemetry', { key, body })
})
after(() => bench.close())

const get = (path: string) => bench.call(`GET ${path}`, { key: bench.admin })
const query = (parameters: string) => get(`/v1/query?device_id=pump-1&${parameters}`)
const span = `start=${START}&end=${START + 120_000}`

test('a question ends when its client goes, and others get their turn', async (context) => {
  const narrow = await startBench({ limits: { questionsAtOnce: 1, questionsWaitingMax: 1 } })
  context.after(() => narrow.close())
  await narrow.createDevice('pump-1', { type: 'pump' })
  const path = `/v1/query?device_id=pump-1&metric=temperature&${span}`
  const begun = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<unknown>()
  narrow.pipeline.held = (signal) => {
    begun.resolve()
    return new Promise((_, reject) =>
      signal!.addEventListener('abort', () => {
        ended.resolve(signal!.reason)
        reject(signal!.reason)
      }),
    )
  }
  const headers = { authorization: `Bearer ${narrow.admin}` }
  const gone = new AbortController()
  const url = `http://127.0.0.1:${narrow.port}${path}`
  const first = fetch(url, { headers, signal: gone.signal })
  await begun.promise
  const second = narrow.call(`GET ${path}`, { key: narrow.admin })
  await until(async () => /weir_api_questions_waiting\{kind="query"\} 1/.test(await metrics()))
  const refused = await narrow.call(`GET ${path}`, { key: narrow.admin })
  assert.deepEqual([refused.status, refused.json.code], [503, 'QUERY_OVERLOADED'])
  assert.match(String(refused.headers['retry-after']), /^[1-9]\d*$/)
  // Latest values have turns of their own.
  const latest = await narrow.call('GET /v1/latest?metric=temperature', { key: narrow.admin })
  assert.equal(latest.status, 200)
  narrow.pipeline.held = undefined
  gone.abort()
  await assert.rejects(first)
  assert.match(String(await ended.promise), /whoever asked has gone/)
  assert.equal((await second).status, 200)

  async function metrics(): Promise<string> {
    return (await narrow.call('GET /metrics', { key: narrow.admin })).text
  }
})

test('a question that takes too long is a 422 that says so', async (context) => {
  const narrow = await startBench()
  context.after(() => narrow.close())
  await narrow.createDevice('pump-1', { type: 'pump' })
  const begun = Promise.withResolvers<void>()
  narrow.pipeline.held = () => (begun.resolve(), new Promise(() => undefined))
  const path = `/v1/query?device_id=pump-1&metric=temperature&${span}`
  const asked = narrow.call(`GET ${path}`, { key: narrow.admin })
  await begun.promise
  narrow.clock.advance(30_000)
  const { status, json } = await asked
  assert.deepEqual([status, json.code], [422, 'QUERY_LIMIT_EXCEEDED'])
  assert.match(json.detail, /longer than 30000 ms/)
})

test('an answer that is known comes as 304, until it changes; one that is not whole never', async () => {
  const key = await bench.createDevice('tagged')
  const say = (ts: number) =>
    bench.call('POST /v1/telemetry', { key, body: [{ ts, temperature: 1 }] })
  await say(START)
  const paths = ['query?', 'query?format=csv&', 'aggregations?window=1m&'].map(
    (path) => `GET /v1/${path}device_id=tagged&metric=temperature&${span}`,
  )
  paths.push('GET /v1/latest?metric=temperature')
  for (const [at, path] of paths.entries()) {
    const ask = (tag?: string) =>
      bench.call(path, { key: bench.admin, ...(tag && { headers: { 'if-none-match': tag } }) })
    const first = await ask()
    assert.equal(first.status, 200)
    const tag = String(first.headers['etag'])
    assert.match(tag, /^W\/"[\w-]{22}"$/)
    for (const named of [tag, `"x", ${tag}`, tag.slice(2), '*']) {
      const again = await ask(named)
      assert.deepEqual([again.status, again.text, again.headers['etag']], [304, '', tag])
    }
    await say(START + 1000 * (at + 1))
    const changed = await ask(tag)
    assert.equal(changed.status, 200)
    assert.notEqual(changed.headers['etag'], tag)
    bench.pipeline.completenessNow = 0.5
    const partly = await ask('*')
    assert.deepEqual([partly.status, partly.headers['etag']], [200, undefined])
    bench.pipeline.completenessNow = 1
  }
})

test('an answer of more bytes than one may have is refused', async (context) => {
  const narrow = await startBench({ limits: { answerBytesMax: 400 } })
  context.after(() => narrow.close())
  const key = await narrow.createDevice('pump-1', { type: 'pump' })
  const body = Array.from({ length: 20 }, (_, at) => ({ ts: START + at * 1000, temperature: at }))
  await narrow.call('POST /v1/telemetry', { key, body })
  const path = `GET /v1/query?device_id=pump-1&metric=temperature&${span}`
  const { status, json } = await narrow.call(path, { key: narrow.admin })
  assert.deepEqual([status, json.code], [422, 'QUERY_LIMIT_EXCEEDED'])
  assert.equal((await narrow.call(`${path}&agg=max`, { key: narrow.admin })).status, 200)
})

test('readings page by page, with a cursor and a link', async () => {
  const asked = `metric=temperature&${span}`
  const whole = (await query(asked)).json
  assert.equal('next' in whole, false)
  for (const format of ['json', 'ndjson'] as const) {
    const seen: [number, number][] = []
    let path: string | undefined = `/v1/query?device_id=pump-1&${asked}&limit=50&format=${format}`
    let pages = 0
    while (path !== undefined) {
      const { status, json, text, headers } = await get(path)
      assert.equal(status, 200)
      pages++
      if (format === 'json') seen.push(...json.points)
      else {
        const lines = text.trim().split('\n')
        seen.push(
          ...lines
            .map((line) => JSON.parse(line))
            .map(({ ts, value }) => [ts, value] as [number, number]),
        )
      }
      const link = /^<(.*)>; rel="next"$/.exec(String(headers['link'] ?? ''))?.[1]
      if (format === 'json')
        assert.equal(link?.includes(`cursor=${json.next}`) ?? null, json.next && true)
      path = link
    }
    assert.equal(pages, 3)
    assert.deepEqual(seen, whole.points)
  }
  const first = (await query(`${asked}&limit=10`)).json
  const cases: [string, RegExp][] = [
    [`${asked}&cursor=${first.next}`, /^cursor: needs limit/],
    [`${asked}&limit=10&cursor=x`, /^cursor: is not one that an answer gave/],
    [`metric=flow&${span}&limit=10&cursor=${first.next}`, /^cursor: is of another question/],
    [`${asked}&limit=10&agg=max`, /^limit: is for readings as they are/],
    [`${asked}&limit=0`, /^limit: /],
    [`${asked}&limit=10001`, /^limit: /],
  ]
  for (const [parameters, expected] of cases) {
    const reply = await query(parameters)
    assert.deepEqual([reply.status, reply.json.code], [400, 'API_PARAMETER_INVALID'], parameters)
    assert.match(reply.json.detail, expected)
  }
  const many = await get(`/v1/query?${asked}&agg=max&limit=10`)
  assert.match(many.json.detail, /^limit: needs device_id/)
  assert.equal((await query(`${asked}&limit=20&cursor=${first.next}`)).json.points.length, 20)
})

test('Accept chooses the form that it wants most, and format goes before it', async () => {
  const path = `/v1/query?device_id=pump-1&metric=temperature&${span}&agg=max`
  const typeOf = async (accept: string, more = '') => {
    const headers = { accept }
    const reply = await bench.call(`GET ${path}${more}`, { key: bench.admin, headers })
    return String(reply.headers['content-type']).split(';')[0]
  }
  assert.equal(await typeOf('text/csv'), 'text/csv')
  assert.equal(await typeOf('text/csv;q=0.5, application/x-ndjson;q=0.6'), 'application/x-ndjson')
  assert.equal(await typeOf('application/x-ndjson;q=0, */*;q=0.1'), 'application/json')
  assert.equal(await typeOf('image/png'), 'application/json')
  assert.equal(await typeOf('text/csv', '&format=ndjson'), 'application/x-ndjson')
  assert.equal(await typeOf('text/html, */*;q=0.8'), 'application/json')
})

test('groups are compared with an earlier span, too', async () => {
  const start = START + 60_000
  const asked = `metric=temperature&start=${start}&end=${START + 120_000}&agg=min&compare=1m&type=pump`
  const { status, json } = await get(`/v1/query?${asked}&group_by=type`)
  assert.equal(status, 200)
  assert.deepEqual(json.groups, [{ group: { type: 'pump' }, points: [[start, 80]] }])
  assert.deepEqual(json.compare.groups, [{ group: { type: 'pump' }, points: [[start, 20]] }])
  assert.equal(json.compare.meta.series, 1)
  const text = await get(`/v1/query?${asked}&format=csv`)
  assert.match(text.json.detail, /^compare: is for answers in JSON/)
})

test('CSV has microseconds where there are some', async () => {
  const key = await bench.createDevice('fine', { type: 'pump' })
  const body = [0, 0.125].map((more) => ({ ts: START + more, temperature: more }))
  await bench.call('POST /v1/telemetry', { key, body })
  const { text } = await get(
    `/v1/query?device_id=fine&metric=temperature&start=${START}&end=${START + 1}&format=csv`,
  )
  assert.deepEqual(text.split('\r\n').slice(1, 3), [
    '2026-01-01T00:00:00.000Z,0',
    '2026-01-01T00:00:00.000125Z,0.125',
  ])
})

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 5000
  while (!(await isTrue())) {
    assert.ok(performance.now() < endMs, 'it did not come')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
