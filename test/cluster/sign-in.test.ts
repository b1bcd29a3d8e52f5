/** Several control processes behind one name: codes and sessions of the page belong to all. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until, type Answer, type WeirProcess } from '../system/weir-process.ts'
import { Installation, skip } from './cluster-process.ts'

const TIMEOUT_MS = 120_000

const createCode = async (weir: WeirProcess): Promise<string> =>
  (await weir.api<{ code: string }>('/v1/session/code', { method: 'POST', body: {} })).body.code

/** Without a credential of its own. */
const trade = (weir: WeirProcess, code: string): Promise<Answer> =>
  weir.api('/v1/session', { body: { code }, token: 'none' })

/** A page's call: with its cookie, and without any key. */
async function visit(weir: WeirProcess, cookie: string, method = 'GET'): Promise<number> {
  const path = method === 'DELETE' ? '/v1/session' : '/v1/devices'
  const headers = { cookie, 'sec-fetch-site': 'same-origin' }
  return (await fetch(weir.url + path, { method, headers })).status
}

test(
  'a code of one control process opens a session at another, once, which all know until it ends',
  { skip, timeout: TIMEOUT_MS },
  async (t) => {
    const at = await Installation.open(t)
    const one = await at.start('control', 'control-0')
    const other = await at.start('control', 'control-1')
    const code = await createCode(one)
    const answers = await Promise.all(
      [one, other, one, other, one, other].map((weir) => trade(weir, code)),
    )
    const [opened, ...others] = answers.toSorted((a, b) => a.status - b.status)
    const statuses = others.map(({ status }) => status)
    assert.deepEqual([opened!.status, ...statuses], [200, 401, 401, 401, 401, 401])
    const [cookie = ''] = (opened!.headers.get('set-cookie') ?? '').split(';')
    assert.deepEqual([await visit(one, cookie), await visit(other, cookie)], [200, 200])
    // It outlives the process that opened it, and a sign-out at one is a sign-out at all.
    await one.stop()
    const again = await at.start('control', 'control-0')
    assert.equal(await visit(again, cookie), 200)
    const live = await fetch(`${other.url}/v1/live`, { headers: { cookie } })
    let hasLiveEnded = false
    void live.text().then(() => (hasLiveEnded = true))
    assert.equal(await visit(again, cookie, 'DELETE'), 204)
    assert.deepEqual([await visit(again, cookie), await visit(other, cookie)], [401, 401])
    await until('the live stream ends with a heartbeat', () => hasLiveEnded, 30_000)
  },
)

test(
  'health is told without asking PostgreSQL who has the cookie',
  { skip, timeout: TIMEOUT_MS },
  async (t) => {
    const at = await Installation.open(t)
    const weir = await at.start('control')
    const headers = { cookie: 'weir_session=unknown' }
    await at.killService('postgres')
    for (const path of ['/health', '/ready', '/'])
      assert.notEqual((await fetch(weir.url + path, { headers })).status, 503, path)
    assert.equal((await fetch(`${weir.url}/v1/devices`, { headers })).status, 503)
  },
)
