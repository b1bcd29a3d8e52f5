/**
 * Attack table, row 88: what devices call themselves and say is inert wherever it is shown. The
 * page with such names is in `test/browser/page.test.ts`, in a real Chromium.
 */
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { until, weir as runWeir } from '../system/weir-process.ts'
import { rowsAgainst, Target } from './target.ts'

const target = await Target.start({ after })
const { weir } = target
const row = rowsAgainst(target)

/** What `weir COMMAND` prints about the process under attack. */
async function print(...parameters: string[]): Promise<{ stdout: string; stderr: string }> {
  const connection = ['--url', weir.url, '--key', weir.adminKey]
  const running = runWeir([...parameters, ...connection])
  await running.end()
  return running
}

// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/

row(
  88,
  'names and texts with markup, escape sequences and formulas are printed inert',
  {
    weir_gateway_messages_total: 3,
    'weir_gateway_rejected_total{code="TELEMETRY_JSON_INVALID"}': 1,
  },
  async () => {
    const id = '<img src=x onerror=alert(1)>'
    const device = await target.device(id)
    const path = `/v1/devices/${encodeURIComponent(id)}/telemetry`
    const hostile = [
      '\u001b[2J\u001b]0;owned\u0007',
      '=cmd|"/c calc"!A1',
      '\u009b31m\u202egpj\r\n,"',
    ]
    for (const state of hostile) {
      const answer = await weir.api(path, { token: device.token, body: { state } })
      assert.equal(answer.status, 200)
    }
    await until('they are stored', async () => (await weir.points(id, 'state')).length === 3)
    for (const format of ['table', 'csv', 'json']) {
      const { stdout, stderr } = await print('query', id, 'state', '--format', format)
      assert.match(stdout, format === 'csv' ? /,"'=cmd\|""\/c calc""!A1"\n/ : /=cmd/)
      // CSV is for a file, which has the text as it came.
      if (format !== 'csv') assert.doesNotMatch(stdout, CONTROLS)
      assert.doesNotMatch(stderr, CONTROLS)
    }
    // What the server quotes of a payload does not reach the terminal as it is.
    const quoted = await weir.api(path, { token: device.token, body: '{"a":\u001b[31m1}' })
    assert.equal(quoted.status, 422)
    const failed = await print('query', '\u001b[31mnobody\u009b0m', 'state')
    assert.match(failed.stderr, /weir: /)
    assert.doesNotMatch(failed.stderr, CONTROLS)
    assert.doesNotMatch(weir.running.stderr, CONTROLS)
    assert.match(weir.running.stderr, /<img src=x onerror=alert\(1\)>/)
  },
)

row(
  88,
  'no answer with a device’s words is taken for a page',
  { weir_gateway_messages_total: 1 },
  async () => {
    const id = '<svg onload=alert(1)>'
    await target.device(id)
    const path = `/v1/devices/${encodeURIComponent(id)}`
    const answers = [await weir.api(path), await weir.api(`${path}/nothing`)]
    answers.push(await weir.api(`/v1/query?device_id=${encodeURIComponent(id)}&metric=<b>`))
    for (const { headers, text } of answers) {
      assert.match(headers.get('content-type') ?? '', /^application\/(problem\+)?json/)
      assert.equal(headers.get('x-content-type-options'), 'nosniff')
      assert.ok(text.length > 0)
    }
  },
)
