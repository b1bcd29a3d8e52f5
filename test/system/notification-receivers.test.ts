/** The receivers of docs/notifications.md, run as they stand there. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { freePort } from '../../bench/peers.ts'
import { notificationOf } from '../../src/notify/notification-fixture.ts'
import { openWebhook } from '../../src/notify/webhook.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { findProgram } from '../cluster/process.ts'
import { makeFolder, ROOT, Running, until } from './weir-process.ts'

const SECRET = 'whsec-of-the-test'
const TOLERANCE_US = 300_000_000

/** The block of the page in this language. */
async function receiverOf(language: string): Promise<string> {
  const page = await readFile(join(ROOT, 'docs/notifications.md'), 'utf8')
  const [, code] = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(page) ?? []
  assert.ok(code !== undefined, language)
  return code
}

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => resolve(false))
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })

/** A clock that is late by so much. */
const clockLateBy = (us: number) => ({
  ...nodeWorld.clock,
  nowUs: () => nodeWorld.clock.nowUs() - us,
  after: nodeWorld.clock.after.bind(nodeWorld.clock),
})

async function run(
  context: TestContext,
  what: { command: string; language: string; name: string },
): Promise<void> {
  const folder = await makeFolder(context)
  const program = join(folder, what.name)
  await writeFile(program, await receiverOf(what.language))
  const port = await freePort()
  const env = { ...process.env, WEIR_SECRET: SECRET, PORT: String(port) }
  const receiver = new Running(what.command, [program], { env })
  await until('it listens', () => isListening(port))

  const open = (secret = SECRET, lateUs = 0) =>
    openWebhook({
      ...{ url: `http://127.0.0.1:${port}/`, secret, allowPrivate: true },
      clock: clockLateBy(lateUs),
    })
  await open().send(notificationOf({ deviceId: 'pümp-01' }), 'key-1')
  await open().send(notificationOf({ deviceId: 'pümp-01' }), 'key-1')
  await open().send(notificationOf({ deviceId: 'pump-02' }), 'key-2')
  const refused = { code: 'NOTIFY_REFUSED' }
  await assert.rejects(open('another').send(notificationOf(), 'key-3'), refused)
  const tooLate = open(SECRET, TOLERANCE_US + 5_000_000)
  await assert.rejects(tooLate.send(notificationOf(), 'key-4'), refused)
  await open(SECRET, TOLERANCE_US - 20_000_000).send(notificationOf(), 'key-5')
  for (const signature of ['', 't=1', 'v1=00', 't=,v1=', 'nonsense', `t=${Date.now()},v1=ü`]) {
    const headers = { 'x-weir-signature': Buffer.from(signature).toString('latin1') }
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: '{}', headers })
    assert.equal(answer.status, 401, signature)
  }
  const expected = ['pümp-01 hot firing', 'pump-02 hot firing', 'pump-01 hot firing']
  await until('it has said all', () => receiver.stdout.includes(expected.at(-1)!))
  assert.deepEqual(receiver.stdout.trim().split('\n'), expected)
}

test('The receiver in Node takes each notification once, and nothing that is not ours', (context) =>
  run(context, { command: process.execPath, language: 'js', name: 'receiver.mjs' }))

const python = findProgram('python3')
const skip = python === undefined ? 'python3 is not installed' : undefined

test('The receiver in Python does the same', { skip }, (context) =>
  run(context, { command: python!, language: 'python', name: 'receiver.py' }),
)
