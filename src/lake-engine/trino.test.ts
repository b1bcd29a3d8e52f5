/** Trino's protocol against a server that says what a test wants; real Trino: test/cluster. */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { nodeWorld } from '../world/node-world.ts'
import type { EnginePage, LakeEngine } from './lake-engine.ts'
import { openTrino, type TrinoAccess } from './trino.ts'

const LIMITS = { timeoutMs: 60_000, rowsMax: 1000, bytesMax: 1 << 20 }

interface Asked {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: string
}

type Reply = (asked: Asked, origin: string) => { status?: number; text: string } | undefined

/** Replies one after another; without one the request is held. `asked` grows. */
async function serve(context: TestContext, replies: Reply[], access: Partial<TrinoAccess> = {}) {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (part: Buffer) => (body += part.toString()))
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request
      const one = { method, path, headers, body }
      asked.push(one)
      const isCancelled = method === 'DELETE'
      const reply = isCancelled ? { status: 204, text: '' } : replies.shift()?.(one, origin)
      if (reply !== undefined) response.writeHead(reply.status ?? 200).end(reply.text)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const engine = openTrino({ url: origin, user: 'weir', ...access }, nodeWorld)
  context.after(() => {
    engine.close()
    server.closeAllConnections()
    server.close()
  })
  return { engine, asked, origin }
}

const page = (fields: object): { text: string } => ({ text: JSON.stringify(fields) })
const next = (origin: string, token: number): string =>
  `${origin}/v1/statement/executing/q/s/${token}`

async function rowsOf(engine: LakeEngine, ...how: Parameters<LakeEngine['run']>) {
  const pages: EnginePage[] = []
  for await (const one of engine.run(...how)) pages.push(one)
  return pages.flatMap(({ rows }) => rows)
}

const COLUMNS = [
  { name: 'device', type: 'varchar' },
  { name: 'value', type: 'double' },
  { name: 'count', type: 'bigint' },
]

test('E1 pages are followed to the end, and their values have types', async (context) => {
  const { engine, asked } = await serve(context, [
    (_, origin) => page({ nextUri: next(origin, 1) }),
    (_, origin) => page({ nextUri: next(origin, 2), columns: COLUMNS, data: [['NaN', 'NaN', 3]] }),
    () =>
      page({
        columns: COLUMNS,
        data: [
          [null, 1.5, null],
          ['b', '-Infinity', 4],
        ],
      }),
  ])
  const rows = await rowsOf(engine, 'SELECT 1', LIMITS)
  assert.deepEqual(rows, [
    ['NaN', NaN, 3],
    [null, 1.5, null],
    ['b', -Infinity, 4],
  ])
  assert.deepEqual(
    asked.map(({ method }) => method),
    ['POST', 'GET', 'GET'],
  )
  assert.equal(asked[0]!.body, 'SELECT 1')
  assert.equal(asked[0]!.headers['x-trino-user'], 'weir')
  assert.equal(asked[0]!.headers['x-trino-session'], 'query_max_run_time=60s')
})

test('E2 who leaves, is aborted or gets too much leaves nothing running', async (context) => {
  const endless: Reply = (_, origin) =>
    page({
      nextUri: next(origin, 7),
      columns: COLUMNS,
      data: [
        ['a', 1, 1],
        ['b', 2, 2],
      ],
    })
  const cancelled = async (run: (engine: LakeEngine) => Promise<void>): Promise<void> => {
    const { engine, asked } = await serve(context, [endless, endless])
    await run(engine)
    assert.equal(asked.at(-1)!.method, 'DELETE')
    assert.ok(asked.at(-1)!.path.endsWith('/7'))
  }
  await cancelled(async (engine) => {
    for await (const one of engine.run('SELECT 1', LIMITS)) {
      assert.equal(one.rows.length, 2)
      break
    }
  })
  await cancelled(async (engine) => {
    const ended = new AbortController()
    const reason = new Error('the client went')
    await assert.rejects(async () => {
      // The third request is held by the server.
      let pages = 0
      for await (const _ of engine.run('SELECT 1', LIMITS, ended.signal)) {
        if (++pages === 2) setTimeout(() => ended.abort(reason), 20)
      }
    }, reason)
  })
  await cancelled((engine) =>
    assert.rejects(rowsOf(engine, 'SELECT 1', { ...LIMITS, rowsMax: 3 }), {
      code: 'ENGINE_LIMIT_EXCEEDED',
    }),
  )
  await cancelled((engine) =>
    assert.rejects(rowsOf(engine, 'SELECT 1', { ...LIMITS, timeoutMs: 100 }), {
      ...{ code: 'ENGINE_LIMIT_EXCEEDED', message: /100 ms/ },
    }),
  )
})

test('E3 an answer larger than it may be is not read to its end', async (context) => {
  const { engine } = await serve(context, [
    () => page({ columns: COLUMNS, data: [['x'.repeat(2 << 20), 1, 1]] }),
  ])
  await assert.rejects(rowsOf(engine, 'SELECT 1', LIMITS), {
    ...{ code: 'ENGINE_LIMIT_EXCEEDED', message: /bytes/ },
  })
})

test('E4 what passes is tried again; what does not is said at once', async (context) => {
  const busy = (status: number) => () => ({ status, text: 'try later' })
  const { engine, asked } = await serve(context, [
    ...[503, 429].map(busy),
    (_, origin) => page({ nextUri: next(origin, 1) }),
    ...[502, 504].map(busy),
    () => page({ columns: COLUMNS, data: [['a', 1, 1]] }),
  ])
  assert.deepEqual(await rowsOf(engine, 'SELECT 1', LIMITS), [['a', 1, 1]])
  assert.equal(asked.length, 6)

  const refused = await serve(context, [busy(401)])
  await assert.rejects(rowsOf(refused.engine, 'SELECT 1', LIMITS), {
    ...{ code: 'ENGINE_REFUSED', message: /401/ },
  })
  const failing = (errorType: string) => () =>
    page({ error: { message: 'no such column', errorName: 'COLUMN_NOT_FOUND', errorType } })
  const wrong = await serve(context, [failing('USER_ERROR')])
  await assert.rejects(rowsOf(wrong.engine, 'SELECT x', LIMITS), { code: 'ENGINE_REFUSED' })
  const broken = await serve(context, [failing('INTERNAL_ERROR')])
  await assert.rejects(rowsOf(broken.engine, 'SELECT x', LIMITS), { code: 'ENGINE_UNAVAILABLE' })
})

test('E4 credentials go to engine.url alone, and into no message', async (context) => {
  const echo: Reply = ({ headers }) => ({
    status: 403,
    text: `${String(headers.authorization)} open sesame`,
  })
  const password = await serve(context, [echo], { password: 'open sesame' })
  await assert.rejects(rowsOf(password.engine, 'SELECT 1', LIMITS), (error: Error) => {
    assert.doesNotMatch(error.message, /sesame|d2VpcjpvcGVu/)
    return true
  })
  const other = await serve(context, [])
  const token = await serve(context, [() => page({ nextUri: next(other.origin, 1) })], {
    token: 'a-token',
  })
  await assert.rejects(rowsOf(token.engine, 'SELECT 1', LIMITS), {
    ...{ code: 'ENGINE_REFUSED', message: /engine\.url/ },
  })
  assert.deepEqual([token.asked[0]!.headers.authorization, other.asked], ['Bearer a-token', []])
})

test('E4 nobody there is said within seconds', async () => {
  let nowMs = 0
  const clock = { ...nodeWorld.clock, monotonicMs: () => (nowMs += 1000) }
  const engine = openTrino({ url: 'http://127.0.0.1:1', user: 'weir' }, { ...nodeWorld, clock })
  await assert.rejects(rowsOf(engine, 'SELECT 1', LIMITS), { code: 'ENGINE_UNAVAILABLE' })
  engine.close()
})
