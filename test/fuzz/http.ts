/** The HTTP API: any parameters, paths, headers and bodies at every route. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ACCESS } from '../../src/api/access.ts'
import { startBench } from '../../src/api/testing/api-bench.ts'
import { mutatedText, oneOf } from './bytes.ts'
import { claim, type FuzzTarget } from './claim.ts'

const bench = await startBench({ limits: { bodyBytesMax: 10_000 } })
const token = await bench.createDevice('pump-1', { type: 'pump' })

const routes = Object.keys(ACCESS).filter(
  (key) => !['GET /v1/live', 'DELETE /v1/session'].includes(key),
)
const route = fc.constantFrom(...routes)
const names = [
  ...['device_id', 'metric', 'start', 'end', 'agg', 'step', 'max_points', 'dimension', 'window'],
  ...['limit', 'after', 'historical', 'precision', 'q', 'db', 'u', 'p', 'verbose', 'nothing'],
  ...['__proto__', 'constructor', 'toString'],
]
const text = fc.oneof(
  fc.constantFrom(
    'pump-1',
    'temperature',
    '0',
    '-1',
    '1767225600000',
    '2026-01-01T00:00:00Z',
    '1m',
  ),
  fc.constantFrom('avg', 'true', 'false', '10000', '1e9', '9'.repeat(20), 'a=b', '=', '%', "'", ''),
  fc.string({ unit: 'binary', maxLength: 8 }),
)
const parameters = fc.oneof(
  // What a query needs, so that most of them get behind the check.
  fc
    .array(fc.tuple(fc.constantFrom(...names), text), { maxLength: 2 })
    .map((more): [string, string][] => [
      ['device_id', 'pump-1'],
      ['metric', 'temperature'],
      ['start', '0'],
      ['end', '1767225600000'],
      ...more,
    ]),
  fc.array(fc.tuple(fc.constantFrom(...names), text), { maxLength: 5 }),
)
const id = fc.oneof(fc.constant('pump-1'), text)
const device = '{"id":"x","type":"generic","tags":{"a":"b"},"parent":"g","gateway":true}'
const body = fc.oneof(
  fc.constantFrom(
    device,
    '{"temperature":1}',
    '{"code":"x"}',
    'm,host=a f=1',
    'q=create database x',
  ),
  mutatedText(fc.constantFrom(device, '[{"temperature":1}]', '{"code":"x"}')),
  fc.json({ maxDepth: 3 }),
  fc.string({ maxLength: 30 }),
)
const header = fc.tuple(
  fc.constantFrom(
    'content-type',
    'content-encoding',
    'authorization',
    'cookie',
    'origin',
    'x-forwarded-for',
  ),
  fc.oneof(
    fc.constantFrom('application/json', 'gzip', 'text/plain', 'Bearer x', 'Basic eDp5', 'null', ''),
    fc.constantFrom('weir_session=x', 'http://localhost', 'Token :', 'identity', 'a;b=c', '*/*'),
    fc.string({ unit: oneOf('abc;=,/* "'), maxLength: 10 }),
  ),
)
const key = fc.constantFrom(bench.admin, bench.admin, token, undefined, 'wrong')

const request = fc.record({
  route,
  parameters,
  id,
  body,
  key,
  headers: fc.array(header, { maxLength: 2 }).map(Object.fromEntries),
})
type Asked = typeof request extends fc.Arbitrary<infer T> ? T : never

/** `bench.call` holds every answer against the OpenAPI document. */
async function isAnswered(asked: Asked): Promise<void> {
  const [method = '', pattern = ''] = asked.route.split(' ')
  const path = pattern.replace('{id}', encodeURIComponent(asked.id.toWellFormed()))
  const query = new URLSearchParams(asked.parameters).toString()
  const target = `${method} ${path}${query === '' ? '' : `?${query}`}`
  const isWriting = method === 'POST'
  const {
    status,
    json,
    text: answer,
  } = await bench.call(target, {
    key: asked.key,
    headers: asked.headers as Record<string, string>,
    ...(isWriting ? { body: asked.body } : {}),
  })
  assert.ok(status < 500, `${status} ${answer}`)
  if (status < 400) return
  assert.match(json?.code, /^[A-Z_]+$/)
  assert.ok(json.detail.length > 0 && json.detail.length < 20_000)
}

export const httpTarget: FuzzTarget = {
  name: 'http',
  claims: [
    claim(
      'every request has an answer that the document knows, and none of them is our fault',
      500,
      fc.asyncProperty(request, isAnswered),
    ),
  ],
  close: () => bench.close(),
}
