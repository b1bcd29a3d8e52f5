import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { nodeWorld } from '../world/node-world.ts'
import { call, startBench } from './testing/api-bench.ts'

const root = mkdtempSync(join(tmpdir(), 'weir-page-'))
const folder = join(root, 'web')
let bench: Awaited<ReturnType<typeof startBench>>

before(async () => {
  mkdirSync(join(folder, 'assets'), { recursive: true })
  writeFileSync(join(folder, 'index.html'), '<!doctype html><title>Weir</title>')
  writeFileSync(join(folder, 'assets', 'index-3fa9.js'), 'export {}')
  writeFileSync(join(root, 'secret.txt'), 'outside')
  bench = await startBench({ web: { folder, disk: nodeWorld.disk } })
})
after(async () => {
  await bench.close()
  rmSync(root, { recursive: true })
})

const origin = () => `http://127.0.0.1:${bench.port}`

async function signIn(): Promise<string> {
  const code = await bench.api.createSignInCode()
  const { headers } = await bench.call('POST /v1/session', { body: { code } })
  return String(headers['set-cookie']).split(';')[0] ?? ''
}

test('the page, its policy and its caching', async () => {
  const page = await bench.call('GET /')
  assert.deepEqual([page.status, page.text], [200, '<!doctype html><title>Weir</title>'])
  assert.equal(page.headers['content-type'], 'text/html; charset=utf-8')
  assert.match(
    String(page.headers['content-security-policy']),
    /default-src 'none'; script-src 'self'/,
  )
  assert.equal(page.headers['cache-control'], 'no-cache')
  const etag = String(page.headers['etag'])
  const again = await bench.call('GET /', { headers: { 'if-none-match': etag } })
  assert.deepEqual([again.status, again.text], [304, ''])
  const script = await bench.call('GET /assets/index-3fa9.js')
  assert.equal(script.headers['content-type'], 'text/javascript; charset=utf-8')
  assert.equal(script.headers['cache-control'], 'public, max-age=31536000, immutable')
})

test('nothing outside the folder can be read, however it is spelled', async () => {
  const paths = [
    '/../secret.txt',
    '/assets/../../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/assets/..%5c..%5csecret.txt',
    '//secret.txt',
    '/assets/%00',
    '/assets',
    '/assets/',
    `/${root}/secret.txt`,
    '/INDEX.HTML',
  ]
  for (const path of paths) {
    const reply = await call(bench.port, `GET ${path}`)
    assert.deepEqual([reply.status, reply.json?.code], [404, 'API_NOT_FOUND'], path)
  }
})

test('without a built page the API says how to build it', async () => {
  const bare = await startBench({ web: { folder: join(root, 'missing'), disk: nodeWorld.disk } })
  const reply = await bare.call('GET /')
  assert.equal(reply.status, 404)
  assert.match(reply.json.detail, /npm run build:web/)
  await bare.close()
})

test('the printed link gives the page and leaves the code to it', async () => {
  const code = await bench.api.createSignInCode()
  const page = await bench.call(`GET /?code=${code}`)
  assert.deepEqual([page.status, page.headers['set-cookie']], [200, undefined])
  assert.equal(page.headers['referrer-policy'], 'no-referrer')
  assert.equal((await bench.call('POST /v1/session', { body: { code } })).status, 200)
})

test('a code is good once, for ten minutes, and no other text is', async () => {
  const post = async (code: string) =>
    (await bench.call('POST /v1/session', { body: { code } })).status
  const code = await bench.api.createSignInCode()
  assert.equal(await post(`${code}x`), 401)
  assert.equal(await post(''), 401)
  assert.equal(await post(code), 200)
  assert.equal(await post(code), 401)
  const [old, fresh] = [await bench.api.createSignInCode(), await bench.api.createSignInCode()]
  bench.clock.advance(10 * 60_000 - 1)
  assert.equal(await post(fresh), 200)
  bench.clock.advance(1)
  assert.equal(await post(old), 401)
})

test('an admin gets a code for the page, as good as a printed one', async () => {
  const made = await bench.call('POST /v1/session/code', { key: bench.admin })
  assert.equal(made.json.expires_in_seconds, 600)
  const body = { code: made.json.code as string }
  assert.equal((await bench.call('POST /v1/session', { body })).status, 200)
  assert.equal((await bench.call('POST /v1/session', { body })).status, 401)
})

test('the cookie is hidden from scripts, strict, and ends after 12 hours', async () => {
  const code = await bench.api.createSignInCode()
  const { headers } = await bench.call('POST /v1/session', { body: { code } })
  assert.match(
    String(headers['set-cookie']),
    /^weir_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/,
  )
  const cookie = `other=1; ${String(headers['set-cookie']).split(';')[0]}`
  const list = async () => (await bench.call('GET /v1/devices', { headers: { cookie } })).status
  assert.equal(await list(), 200)
  bench.clock.advance(12 * 3_600_000 - 1)
  assert.equal(await list(), 200)
  bench.clock.advance(1)
  assert.equal(await list(), 401)
})

test('a session changes things only from the page itself', async () => {
  const cookie = await signIn()
  let devices = 0
  const create = async (headers: Record<string, string>) => {
    const body = { id: `by-cookie-${devices++}`, type: 'generic' }
    const reply = await bench.call('POST /v1/devices', { headers: { cookie, ...headers }, body })
    return reply.status
  }
  assert.equal(await create({ origin: origin() }), 201)
  assert.equal(await create({ 'sec-fetch-site': 'same-origin' }), 201)
  assert.equal(await create({}), 403)
  assert.equal(
    await create({ origin: 'http://localhost:1' }),
    403,
    'another port is another origin',
  )
  assert.equal(await create({ 'sec-fetch-site': 'same-site' }), 403)
  assert.equal(await create({ origin: origin(), 'sec-fetch-site': 'cross-site' }), 403)
  assert.equal(await create({ origin: 'https://evil.example' }), 403)
})

test('signing out ends the session at once', async () => {
  const cookie = await signIn()
  const headers = { cookie, origin: origin() }
  const out = await bench.call('DELETE /v1/session', { headers })
  assert.match(String(out.headers['set-cookie']), /^weir_session=; .*Max-Age=0$/)
  assert.equal((await bench.call('GET /v1/devices', { headers: { cookie } })).status, 401)
})
