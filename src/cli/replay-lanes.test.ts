import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import { after, test } from 'node:test'
import { ApiClient } from './api-client.ts'
import type { ReplayMessage } from './replay-item.ts'
import { ReplayLanes, type LanesOptions } from './replay-lanes.ts'

interface Answer {
  status: number
  body?: unknown
  headers?: Record<string, string>
}

const servers: Server[] = []
after(() => servers.forEach((server) => server.close()))

/** An HTTP server that answers as told, and keeps the bodies it got. */
async function serve(
  respond: (body: string, count: number) => Answer | Promise<Answer>,
): Promise<{ client: ApiClient; paths: string[] }> {
  const paths: string[] = []
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      paths.push(request.url ?? '')
      const body = Buffer.concat(pieces).toString()
      void Promise.resolve(respond(body, paths.length)).then((answer) => {
        response.writeHead(answer.status, answer.headers)
        response.end(answer.body === undefined ? '' : JSON.stringify(answer.body))
      })
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return { client: new ApiClient({ url: `http://127.0.0.1:${address.port}`, key: 'k' }), paths }
}

function message(deviceId: string, line: number): ReplayMessage {
  const text = JSON.stringify({ device: deviceId, ts: line, metrics: { x: line } })
  return { kind: 'message', line, deviceId, readings: 1, text }
}

function lanesOf(client: ApiClient, options: Partial<LanesOptions> = {}): ReplayLanes {
  return new ReplayLanes({
    ...{ client, format: 'ndjson', concurrency: 4, batchMessagesMax: 10 },
    ...{ precision: 'ns', retryMs: 5000, ...options },
  })
}

const parse = (body: string): { device: string; ts: number }[] =>
  JSON.parse(body) as { device: string; ts: number }[]

test('R1 each device’s messages arrive in the file’s order, whatever the concurrency', async () => {
  const seen = new Map<string, number[]>()
  const { client, paths } = await serve(async (body) => {
    const batch = parse(body)
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
    for (const { device, ts } of batch) seen.set(device, [...(seen.get(device) ?? []), ts])
    return { status: 200, body: { accepted: batch.length } }
  })
  const lanes = lanesOf(client)
  for (let line = 1; line <= 500; line++) await lanes.push(message(`d${line % 7}`, line))
  await lanes.finish()
  assert.equal(lanes.totals.accepted, 500)
  for (const [device, lines] of seen)
    assert.deepEqual(
      lines,
      lines.toSorted((a, b) => a - b),
      device,
    )
  assert.ok(paths.every((path) => path === '/v1/telemetry?historical=true'))
})

test('R2 the same bytes are sent again after 429 and 503, and counted once', async () => {
  const bodies: string[] = []
  const { client } = await serve((body, count) => {
    bodies.push(body)
    if (count === 1) return { status: 503, body: { code: 'GATEWAY_OVERLOADED' } }
    if (count === 2) return { status: 429 }
    return { status: 200, body: { accepted: 3 } }
  })
  const lanes = lanesOf(client)
  for (let line = 1; line <= 3; line++) await lanes.push(message('d', line))
  await lanes.finish()
  assert.equal(bodies.length, 3)
  assert.equal(new Set(bodies).size, 1)
  assert.deepEqual([lanes.totals.messages, lanes.totals.accepted], [3, 3])
})

test('R2 what no repetition mends ends the replay with the server’s own error', async () => {
  const { client } = await serve(() => ({ status: 401, body: { code: 'API_UNAUTHORIZED' } }))
  const lanes = lanesOf(client)
  await lanes.push(message('d', 1))
  await assert.rejects(lanes.finish(), { code: 'API_UNAUTHORIZED' })
})

test('R3 rejected messages count by code, with the line of the file', async () => {
  const { client } = await serve((_, count) =>
    count === 1
      ? {
          status: 207,
          body: { accepted: 9, rejected: [{ index: 4, code: 'TIME_TOO_OLD', detail: 'old' }] },
        }
      : { status: 422, body: { code: 'TELEMETRY_SHAPE_INVALID', detail: 'shape' } },
  )
  const lanes = lanesOf(client)
  for (let line = 1; line <= 12; line++) await lanes.push(message('d', line))
  lanes.refuse({ line: 13, code: 'TIME_FORMAT_INVALID', detail: 'never' })
  await lanes.finish()
  const { messages, accepted, rejected, reasons, examples } = lanes.totals
  assert.deepEqual([messages, accepted, rejected], [12, 9, 4])
  assert.deepEqual(Object.fromEntries(reasons), {
    TIME_TOO_OLD: 1,
    TELEMETRY_SHAPE_INVALID: 2,
    TIME_FORMAT_INVALID: 1,
  })
  assert.ok(examples.some(({ line, code }) => line === 5 && code === 'TIME_TOO_OLD'))
})

test('R3 line protocol counts what the header says was refused', async () => {
  const { client, paths } = await serve(() => ({
    status: 204,
    headers: { 'x-weir-rejected': '2' },
  }))
  const lanes = lanesOf(client, { format: 'line', precision: 'ms' })
  for (let line = 1; line <= 5; line++) await lanes.push(message('d', line))
  await lanes.finish()
  assert.deepEqual([lanes.totals.accepted, lanes.totals.rejected], [3, 2])
  assert.deepEqual(paths, ['/api/v2/write?precision=ms&historical=true'])
})

test('R4 one lane holds one request under way and one batch', async () => {
  let underWay = 0
  const release: (() => void)[] = []
  const { client } = await serve(async (body) => {
    underWay++
    await new Promise<void>((resolve) => release.push(resolve))
    return { status: 200, body: { accepted: parse(body).length } }
  })
  const lanes = lanesOf(client)
  let pushed = 0
  const all = (async () => {
    for (let line = 1; line <= 100; line++, pushed++) await lanes.push(message('d', line))
    await lanes.finish()
  })()
  const endMs = performance.now() + 5000
  while (underWay === 0 && performance.now() < endMs)
    await new Promise((resolve) => setTimeout(resolve, 2))
  assert.ok(pushed < 20, `${pushed} were taken while the first batch was under way`)
  const pump = setInterval(() => release.splice(0).forEach((resolve) => resolve()), 1)
  await all
  clearInterval(pump)
  assert.equal(lanes.totals.accepted, 100)
})
