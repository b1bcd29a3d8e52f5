/** The commands of rules, alerts, recipients and silences, as they are run, against a real API. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startBench } from '../api/testing/api-bench.ts'

const WEIR = fileURLToPath(new URL('./weir.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'weir-desk-'))

let bench: Awaited<ReturnType<typeof startBench>>
before(async () => void (bench = await startBench()))
after(async () => {
  await bench.close()
  rmSync(folder, { recursive: true })
})

async function weir(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { ...process.env, WEIR_ADMIN_KEY: bench.admin }
  const url = `http://127.0.0.1:${bench.port}`
  const command = ['--disable-warning=ExperimentalWarning', WEIR, ...args, '--url', url]
  return new Promise((resolve) => {
    execFile(process.execPath, command, { env }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    )
  })
}

/** What it printed, when it did what it should. */
async function done(...args: string[]): Promise<string> {
  const { code, out, err } = await weir(...args)
  assert.equal(code, 0, err)
  return out
}

const fileOf = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

test('rules are put from a file, shown so that they can be put again, and deleted', async () => {
  const text = 'rules:\n  - {id: warm, when: "temperature > 60"}\n  - {id: wet, when: "flow > 1"}\n'
  assert.equal(
    await done('rules', 'put', fileOf('rules.yaml', text)),
    'warm has revision 1.\nwet has revision 1.\n',
  )
  const list = await done('rules', 'list')
  assert.match(list, /^ID +SOURCE +REVISION +SEVERITY +CONDITION$/m)
  assert.match(list, /^warm +api +1 +temperature > 60$/m)
  assert.match(list, /^hot +definition +critical +temperature > 80$/m)
  const shown = fileOf('warm.yaml', await done('rules', 'show', 'warm'))
  assert.match(readFileSync(shown, 'utf8'), /^revision: 1$/m)
  assert.equal(await done('rules', 'put', shown), 'warm has revision 2.\n')
  const stale = await weir('rules', 'put', shown)
  assert.equal(stale.code, 1)
  assert.match(stale.err, /CONTROL_REVISION_STALE[\s\S]*it has revision 2, not 1/)
  assert.equal(await done('rules', 'delete', 'warm'), 'warm is removed.\n')
  const ids = JSON.parse(await done('rules', 'list', '--json')).map(({ id }: { id: string }) => id)
  assert.deepEqual(ids, ['hot', 'wet'])
  for (const wrong of ['- 1', '{when: "temperature > 1"}', '{']) {
    const refused = await weir('rules', 'put', fileOf('wrong.yaml', wrong))
    assert.deepEqual([refused.code, refused.err.includes('CLI_USAGE_INVALID')], [2, true])
  }
})

test('an alert is listed, acknowledged, snoozed, noted and shown', async () => {
  const key = await bench.createDevice('pump-1')
  await bench.call('POST /v1/telemetry', { key, body: { ts: 1767312000000, temperature: 90 } })
  const [{ id }] = JSON.parse(await done('alerts', 'list', '--json', '--state', 'firing'))
  const line = /^2026-01-02T00:00:00\.000Z +firing +critical +pump-1 +hot /m
  assert.match(await done('alerts', 'list', '--device', 'pump-1'), line)
  const acknowledged = await done('alerts', 'acknowledge', id, '--by', 'anna', '--note', 'me')
  assert.match(acknowledged, / hot +anna +/)
  await done('alerts', 'snooze', id, '--for', '2h')
  await done('alerts', 'wake', id)
  await done('alerts', 'note', id, 'the valve \u001b[31m', '--by', 'bo')
  const shown = await done('alerts', 'show', id)
  assert.match(shown, /temperature > 80 \(90 °C\), 1 times/)
  assert.match(shown, /acknowledge +anna +me$/m)
  assert.match(shown, /note +bo +the valve \\u001b\[31m$/m)
  const unknown = await weir('alerts', 'show', 'nothing')
  assert.match(unknown.err, /ALERT_UNKNOWN/)
})

test('recipients are added with a secret that is shown once, and deleted', async () => {
  const added = await done(
    ...['recipients', 'add', 'me', '--webhook', 'https://hooks.example.org/', '--rate', '5/1m'],
    ...['--severity', 'critical', '--severity', 'warning', '--id', 'me', '--json'],
  )
  const { secret, ...made } = JSON.parse(added)
  assert.match(secret, /^[\w-]{43}$/)
  assert.deepEqual(made.rate_limit, { messages: 5, per: '1m' })
  const list = await done('recipients', 'list')
  assert.match(list, /^me +me +webhook +critical, warning +5\/1m$/m)
  assert.ok(!list.includes(secret))
  const again = await weir('recipients', 'add', 'me', '--email', 'me@example.org', '--id', 'me')
  assert.match(again.err, /CONTROL_REVISION_STALE/)
  assert.equal((await weir('recipients', 'add', 'x', '--rate', 'often')).code, 2)
  assert.match((await weir('recipients', 'test', 'nobody')).err, /API_NOT_FOUND/)
  assert.equal(await done('recipients', 'delete', 'me'), 'me is told no more.\n')
})

test('a silence is added, listed and ended', async () => {
  const added = ['silences', 'add', '--device', 'pump-1', '--for', '2h', '--comment', 'works']
  const [id = ''] = (await done(...added)).split(' ')
  assert.match(await done('silences', 'list'), new RegExp(`^${id} .* pump-1 +works$`, 'm'))
  assert.equal(await done('silences', 'delete', id), `${id} has ended.\n`)
  assert.equal((await weir('silences', 'add')).code, 2)
})
