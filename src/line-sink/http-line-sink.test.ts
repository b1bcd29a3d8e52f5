/** The sink against a server on loopback that answers as it is told. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { nodeWorld } from '../world/node-world.ts'
import type { Clock } from '../world/world.ts'
import { openLineSink } from './http-line-sink.ts'
import type { SeriesName } from '../batch/batch.ts'
import type { LineSinkOptions, SinkBatch } from './line-sink.ts'

const SECRET = 's3cr3t-token'
const TIMEOUT_MS = 5000

/** Waits between tries take no time, but are counted. */
class HurriedClock implements Clock {
  readonly waitedMs: number[] = []
  #aheadMs = 0
  nowUs(): number {
    return nodeWorld.clock.nowUs()
  }
  monotonicMs(): number {
    return this.#aheadMs
  }
  after(delayMs: number, callback: () => void): () => void {
    if (delayMs === TIMEOUT_MS) return nodeWorld.clock.after(delayMs, callback)
    this.waitedMs.push(delayMs)
    this.#aheadMs += delayMs
    return nodeWorld.clock.after(0, callback)
  }
  soon(callback: () => void): void {
    nodeWorld.clock.soon(callback)
  }
  every(intervalMs: number, callback: () => void): () => void {
    return nodeWorld.clock.every(intervalMs, callback)
  }
}

interface Request {
  url: string
  headers: IncomingMessage['headers']
  lines: string[]
}

type Reply = (request: Request, response: ServerResponse) => void

const done: Reply = (_, response) => void response.writeHead(204).end()
const say =
  (status: number, text: string, headers: Record<string, string> = {}): Reply =>
  (_, response) =>
    void response.writeHead(status, headers).end(text)

async function serve(context: TestContext, reply: Reply) {
  const requests: Request[] = []
  const server = createServer((incoming, response) => {
    const parts: Buffer[] = []
    incoming.on('data', (part: Buffer) => parts.push(part))
    incoming.on('end', () => {
      const { url = '', headers } = incoming
      const bytes = Buffer.concat(parts)
      const text = String(headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes)
      const request = { url, headers, lines: text.split('\n').filter((line) => line !== '') }
      requests.push(request)
      reply(request, response)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const clock = new HurriedClock()
  const open = (options: Partial<LineSinkOptions> = {}) =>
    openLineSink({
      kind: 'influxdb2',
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      ...{ database: 'b c', organization: 'o&p', token: SECRET, requestTimeoutMs: TIMEOUT_MS },
      ...{ clock, random: nodeWorld.random, ...options },
    })
  return { requests, clock, open }
}

function batchOf(count: number, deviceId = 'd'): SinkBatch {
  const name: SeriesName = {
    ...{ tenant: 't', deviceId, deviceType: 'pump', metric: 'm', dimensions: [], kind: 'number' },
  }
  return {
    names: [name],
    count,
    series: new Uint32Array(count),
    timeUs: Float64Array.from({ length: count }, (_, row) => row),
    value: Float64Array.from({ length: count }, (_, row) => row),
    texts: undefined,
  }
}

/** The time of a line. */
const timeOf = (line: string): number => Number(line.split(' ').at(-1))

test('each target gets its address, precision and credentials', async (context) => {
  const { requests, open } = await serve(context, done)
  const kinds = ['influxdb1', 'influxdb2', 'influxdb3', 'victoriametrics'] as const
  for (const kind of kinds) await open({ kind }).write(batchOf(1))
  assert.deepEqual(
    requests.map(({ url, headers }) => [url, headers.authorization]),
    [
      ['/write?db=b+c&precision=u', `Bearer ${SECRET}`],
      ['/api/v2/write?org=o%26p&bucket=b+c&precision=us', `Token ${SECRET}`],
      ['/api/v3/write_lp?db=b+c&precision=microsecond', `Bearer ${SECRET}`],
      ['/write?precision=u', `Bearer ${SECRET}`],
    ],
  )
})

test('K5 requests are bounded by bytes, and gzip changes nothing else', async (context) => {
  const { requests, open } = await serve(context, done)
  const report = await open({ requestBytesMax: 65_536, isGzipped: true }).write(batchOf(5000))
  assert.deepEqual(report, { written: 5000, refused: 0, unsupported: 0, refusals: [] })
  assert.ok(requests.length > 1)
  for (const { lines } of requests) assert.ok(lines.join('\n').length <= 65_536)
  assert.deepEqual(
    requests.flatMap(({ lines }) => lines.map(timeOf)),
    [...Array(5000).keys()],
  )
})

test('K1 what passes is tried again, later and later, and as late as Retry-After says', async (context) => {
  const replies = [
    say(503, 'busy'),
    say(500, ''),
    say(429, '', { 'retry-after': '7' }),
    ((_, response) => void response.destroy()) satisfies Reply,
    say(503, '', {
      'retry-after': new Date(nodeWorld.clock.nowUs() / 1000 + 20_000).toUTCString(),
    }),
    done,
  ]
  const { requests, clock, open } = await serve(context, (request, response) => {
    replies.shift()!(request, response)
  })
  assert.equal((await open().write(batchOf(3))).written, 3)
  assert.equal(requests.length, 6)
  const [first, second, third, fourth, fifth] = clock.waitedMs as [number, ...number[]]
  assert.ok(first >= 50 && first <= 100, `${first}`)
  assert.ok(second! >= 100 && second! <= 200, `${second}`)
  assert.equal(third, 7000)
  assert.ok(fourth! >= 400 && fourth! <= 800, `${fourth}`)
  assert.ok(fifth! > 15_000 && fifth! <= 20_000, `${fifth}`)
})

test('K5 a target that stays away is given up by name', async (context) => {
  const { requests, clock, open } = await serve(context, say(503, 'down'))
  await assert.rejects(open({ retryForMs: 60_000 }).write(batchOf(1)), (error: Error) => {
    assert.equal((error as Error & { code: string }).code, 'SINK_UNAVAILABLE')
    assert.match(error.message, /^http:\/\/127\.0\.0\.1:\d+: status 503: down$/)
    return true
  })
  assert.ok(requests.length > 8 && requests.length < 40, `${requests.length}`)
  assert.ok(clock.monotonicMs() <= 60_000)
})

test('K3 bad lines are found among good ones, counted and told', async (context) => {
  const bad = new Set([0, 17, 18, 999])
  const stored = new Set<number>()
  const { requests, open } = await serve(context, ({ lines }, response) => {
    const found = lines.map(timeOf).find((time) => bad.has(time))
    if (found !== undefined) return say(400, `line ${found}: bad`)({} as Request, response)
    for (const line of lines) stored.add(timeOf(line))
    return void response.writeHead(204).end()
  })
  const report = await open().write(batchOf(1000))
  assert.deepEqual([report.written, report.refused, report.unsupported], [996, 4, 0])
  assert.equal(stored.size, 996)
  assert.deepEqual(
    report.refusals.map(({ reason, line }) => [reason, timeOf(line)]),
    [...bad].map((time) => [`status 400: line ${time}: bad`, time]),
  )
  assert.ok(requests.length < 100, `${requests.length}`)
})

test('K3 all lines bad: it ends, and few are told', async (context) => {
  const { requests, open } = await serve(context, say(413, ''))
  const report = await open().write(batchOf(100))
  assert.equal(report.refused, 100)
  assert.equal(report.refusals.length, 10)
  assert.equal(requests.length, 199)
})

test('K6 wrong credentials are an error at once, which does not show them', async (context) => {
  for (const status of [401, 403, 404, 302]) {
    const reply = say(status, `who is ${SECRET}?`, { location: 'http://127.0.0.1:1/' })
    const { requests, open } = await serve(context, reply)
    await assert.rejects(open().write(batchOf(1)), (error: Error) => {
      assert.equal((error as Error & { code: string }).code, 'SINK_REFUSED')
      assert.match(error.message, /who is \*\*\*\?/)
      return true
    })
    assert.equal(requests.length, 1)
  }
  const { open } = await serve(context, done)
  assert.throws(
    () => open({ url: `http://weir:${SECRET}@host` }),
    (error: Error) => {
      assert.equal((error as Error & { code: string }).code, 'CONFIG_VALUE_INVALID')
      assert.ok(!error.message.includes(SECRET))
      return true
    },
  )
})

test('K4 what the target has no kind for is counted as such', async (context) => {
  const { requests, open } = await serve(context, done)
  const { names, ...columns } = batchOf(4)
  const texts = [{ ...names[0]!, metric: 'state', kind: 'text' as const }, ...names]
  const batch = { ...columns, names: texts, series: Uint32Array.of(0, 1, 1, 0) }
  const report = await open({ kind: 'victoriametrics' }).write({
    ...batch,
    texts: ['a', undefined, undefined, 'b'],
  })
  assert.deepEqual([report.written, report.refused, report.unsupported], [2, 0, 2])
  assert.deepEqual(requests[0]!.lines.map(timeOf), [1, 2])
})

test('K5 writes are done one after another', async (context) => {
  let underWay = 0
  let most = 0
  const { requests, open } = await serve(context, (_, response) => {
    most = Math.max(most, ++underWay)
    nodeWorld.clock.after(5, () => {
      underWay--
      response.writeHead(204).end()
    })
  })
  const sink = open()
  await Promise.all(['a', 'b', 'c'].map((device) => sink.write(batchOf(1, device))))
  assert.equal(most, 1)
  assert.deepEqual(
    requests.map(({ lines }) => /device_id=(.)/.exec(lines[0]!)![1]),
    ['a', 'b', 'c'],
  )
})

test('closing ends what is under way, by name', async (context) => {
  const { requests, open } = await serve(context, () => {})
  const sink = open()
  const written = assert.rejects(sink.write(batchOf(1)), { code: 'SINK_UNAVAILABLE' })
  while (requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
  await sink.close()
  await written
  await sink.close()
})
