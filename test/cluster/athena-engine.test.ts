/**
 * The way of a request through Athena, against moto: it starts, is asked after, and its rows are
 * fetched. moto runs no SQL: it answers with the rows that a test has put there. Real Athena was
 * never asked.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import {
  AthenaClient,
  CreateWorkGroupCommand,
  GetQueryExecutionCommand,
  ListQueryExecutionsCommand,
} from '@aws-sdk/client-athena'
import { openAthena, type AthenaAccess } from '../../src/lake-engine/athena.ts'
import { PartialsAsker, type PartialsQuestion } from '../../src/lake-engine/lake-engine.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { accessOf } from './cluster.ts'
import { pagesOf, rowsOf } from './engine-pages.ts'

const endpoint = accessOf('moto')?.['endpoint'] ?? ''
const skip = endpoint === '' ? 'moto does not run: npm run -s cluster:up -- moto' : undefined
const region = 'eu-central-1'
const SECRET_KEY = 'secret-key-of-the-test'
const credentials = { accessKey: 'AKIAIOSFODNN7EXAMPLE', secretKey: SECRET_KEY }
const LIMITS = { timeoutMs: 60_000, rowsMax: 1000, bytesMax: 1 << 20 }

const admin = new AthenaClient({
  ...{ region, endpoint },
  credentials: { accessKeyId: credentials.accessKey, secretAccessKey: SECRET_KEY },
})

let workgroups = 0
/** In a workgroup of its own, so that its statements are its own. */
async function open(context: TestContext, how: Partial<AthenaAccess> = {}) {
  const workgroup = `weir-${process.pid}-${++workgroups}`
  await admin.send(new CreateWorkGroupCommand({ Name: workgroup }))
  const engine = openAthena({ region, endpoint, credentials, workgroup, ...how }, nodeWorld)
  context.after(() => engine.close())
  const executions = async () => {
    const { QueryExecutionIds: ids = [] } = await admin.send(
      new ListQueryExecutionsCommand({ WorkGroup: workgroup }),
    )
    return Promise.all(
      ids.map(async (QueryExecutionId) => {
        const asked = await admin.send(new GetQueryExecutionCommand({ QueryExecutionId }))
        return asked.QueryExecution!
      }),
    )
  }
  return { engine, executions }
}

type Cell = string | null

/** What the next statement finds, as Athena has it: texts, the columns' names first. */
async function queue(columns: [name: string, type: string][], rows: Cell[][]): Promise<void> {
  const header = columns.map(([name]) => name)
  const results = {
    rows: [header, ...rows].map((row) => ({
      Data: row.map((cell) => (cell === null ? {} : { VarCharValue: cell })),
    })),
    column_info: columns.map(([Name, Type]) => ({ Name, Type })),
  }
  const body = JSON.stringify({ region, results: [results] })
  const headers = { 'content-type': 'application/json' }
  const path = '/moto-api/static/athena/query-results'
  const answer = await fetch(`${endpoint}${path}`, { method: 'POST', body, headers })
  assert.ok(answer.ok, await answer.text())
}

/** moto says QUEUED, RUNNING, SUCCEEDED, or stays at the first of them. */
async function setProgress(progression: 'manual' | 'immediate', times = 1): Promise<void> {
  const transition = progression === 'manual' ? { progression, times } : { progression }
  const body = JSON.stringify({ model_name: 'athena::execution', transition })
  const answer = await fetch(`${endpoint}/moto-api/state-manager/set-transition`, {
    ...{ method: 'POST', body, headers: { 'content-type': 'application/json' } },
  })
  assert.ok(answer.ok, await answer.text())
}

const COLUMNS: [string, string][] = [
  ['device', 'varchar'],
  ['value', 'double'],
  ['count', 'bigint'],
  ['isOn', 'boolean'],
]

test(
  'E1 a statement is started, asked after, and its rows have types',
  { skip },
  async (context) => {
    await setProgress('manual', 2)
    context.after(() => setProgress('immediate'))
    const outputLocation = 's3://results/weir/'
    const { engine, executions } = await open(context, { outputLocation })
    await queue(COLUMNS, [
      ['a', '1.5E-7', '3', 'true'],
      [null, 'NaN', null, 'false'],
      ['device', '-Infinity', '9007199254740991', null],
    ])
    assert.deepEqual(await rowsOf(engine, 'SELECT 1', LIMITS), [
      ['a', 1.5e-7, 3, true],
      [null, NaN, null, false],
      ['device', -Infinity, 9007199254740991, null],
    ])
    const [{ Query, Status, ResultConfiguration } = {}] = await executions()
    assert.deepEqual([Query, Status?.State], ['SELECT 1', 'SUCCEEDED'])
    assert.ok(ResultConfiguration!.OutputLocation!.startsWith(outputLocation))
  },
)

test('E1 pages are fetched one after another', { skip }, async (context) => {
  // moto has no pages: what comes back is cut in two on its way.
  const rows = Array.from({ length: 5 }, (_, at): Cell[] => [`d${at}`, '1', '2', 'true'])
  await queue(COLUMNS, rows)
  const relay = await openRelay(context, (name, body, answer) => {
    if (name !== 'GetQueryResults') return answer
    const { ResultSet: set, ...others } = JSON.parse(answer) as { ResultSet: { Rows: unknown[] } }
    const { NextToken: token } = JSON.parse(body) as { NextToken?: string }
    const own = token === undefined ? set.Rows.slice(0, 3) : set.Rows.slice(3)
    const next = token === undefined ? { NextToken: 'second' } : {}
    return JSON.stringify({ ...others, ...next, ResultSet: { ...set, Rows: own } })
  })
  const { engine } = await open(context, { endpoint: relay.url })
  const pages = await pagesOf(engine, 'SELECT 1', LIMITS)
  assert.deepEqual(
    pages.map(({ rows }) => rows.map(([device]) => device)),
    [
      ['d0', 'd1'],
      ['d2', 'd3', 'd4'],
    ],
  )
})

test(
  'E2 E3 who leaves, is aborted or is out of time stops the statement',
  { skip },
  async (context) => {
    await setProgress('manual', 1_000_000)
    context.after(() => setProgress('immediate'))
    const { engine, executions } = await open(context)
    await assert.rejects(rowsOf(engine, 'SELECT 1', { ...LIMITS, timeoutMs: 300 }), {
      code: 'ENGINE_LIMIT_EXCEEDED',
    })
    const ended = new AbortController()
    const reason = new Error('the client went')
    const aborted = rowsOf(engine, 'SELECT 2', LIMITS, ended.signal)
    aborted.catch(() => undefined)
    while ((await executions()).length < 2) await new Promise((resolve) => setTimeout(resolve, 20))
    ended.abort(reason)
    await assert.rejects(aborted, reason)
    const states = (await executions()).map(({ Status }) => Status!.State)
    assert.deepEqual(states, ['CANCELLED', 'CANCELLED'])
    await setProgress('immediate')
    await queue(COLUMNS, [
      ['a', '1', '1', 'true'],
      ['b', '1', '1', 'true'],
    ])
    await assert.rejects(rowsOf(engine, 'SELECT 3', { ...LIMITS, rowsMax: 1 }), {
      code: 'ENGINE_LIMIT_EXCEEDED',
    })
  },
)

test(
  'E4 what is refused says why, without the key; nobody there is said too',
  { skip },
  async (context) => {
    const { engine } = await open(context, { workgroup: 'absent' })
    await assert.rejects(rowsOf(engine, 'SELECT 1', LIMITS), (error: Error & { code: string }) => {
      assert.equal(error.code, 'ENGINE_REFUSED')
      assert.match(error.message, /WorkGroup/)
      assert.ok(!error.message.includes(SECRET_KEY))
      return true
    })
    const { engine: away } = await open(context, { endpoint: 'http://127.0.0.1:1' })
    await assert.rejects(rowsOf(away, 'SELECT 1', LIMITS), { code: 'ENGINE_UNAVAILABLE' })
  },
)

test(
  'sums of groups and steps: asked of Athena as of Trino, and held to the rows there are',
  { skip },
  async (context) => {
    const { engine, executions } = await open(context)
    const parts = { engine, table: 'iot.readings', location: 's3://lake', limits: LIMITS }
    const asker = new PartialsAsker({ ...parts, clock: nodeWorld.clock })
    const key = 'readings/tenant=default/type=pump/year=2024/month=1/cold-1.parquet'
    const question: PartialsQuestion = {
      ...{ tenant: 'default', metric: 'temperature', startUs: 0, endUs: 4e15 },
      files: [{ key, year: 2024, month: 1, deviceType: 'pump', rows: 5 }],
      ...{ steps: { kind: 'width', widthUs: 3600e6 }, groups: 'type', dimensions: undefined },
    }
    await queue([['_col0', 'varchar']], [['bigint']])
    const columns = ['group', 'step', 'type', 'count', 'sum', 'min', 'max', 'mean', 'squares'].map(
      (name, at): [string, string] => [
        name,
        ['varchar', 'bigint', 'varchar', 'bigint'][at] ?? 'double',
      ],
    )
    const step = ['', '1704067200', 'bigint', '4', '10', '1', '4', '2.5', '5']
    await queue(columns, [step, ['', null, 'bigint', '1', '7', '7', '7', '7', '0']])
    const numbers = { count: 4, sum: 10, min: 1, max: 4, mean: 2.5, squares: 5 }
    assert.deepEqual(await asker.ask(question), {
      ...{ statements: 1, partials: [{ group: 'pump', timeUs: 1704067200e6, ...numbers }] },
    })
    // A row too few: new folders are looked for, and it is asked once more.
    await queue(columns, [step])
    await queue([], [])
    await queue(columns, [step])
    await assert.rejects(asker.ask(question), { code: 'ENGINE_TABLE_STALE' })
    const asked = (await executions()).map(({ Query }) => Query!)
    assert.equal(asked.filter((text) => text === 'MSCK REPAIR TABLE iot.readings').length, 1)
    assert.equal(asked.filter((text) => text.includes(`"$path" IN ('s3://lake/${key}')`)).length, 3)
    // Times that Athena cuts to the millisecond.
    await queue([['_col0', 'varchar']], [['timestamp(3)']])
    await assert.rejects(asker.ask(question), { code: 'ENGINE_REFUSED', message: /--times bigint/ })
  },
)

/** A way to moto on which `change` may change what comes back. */
async function openRelay(
  context: TestContext,
  change: (name: string, body: string, answer: string) => string,
): Promise<{ url: string }> {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (part: Buffer) => (body += part.toString()))
    request.on('end', async () => {
      const target = String(request.headers['x-amz-target'])
      const headers = Object.fromEntries(
        ['authorization', 'content-type', 'x-amz-date', 'x-amz-target'].map((name) => [
          ...[name, String(request.headers[name])],
        ]),
      )
      const answer = await fetch(`${endpoint}/`, { method: 'POST', headers, body })
      const text = await answer.text()
      response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.1' })
      response.end(change(target.split('.')[1] ?? '', body, text))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}
