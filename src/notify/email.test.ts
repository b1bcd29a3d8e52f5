import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { nodeWorld } from '../world/node-world.ts'
import { messageIdOf, openEmail, type EmailOptions } from './email.ts'
import { notificationOf, NOW_US } from './notification-fixture.ts'
import { failsAs, testChannel } from './notify.conformance.ts'
import type { ReceivedMail, SmtpServerOptions } from './smtp-server-fixture.ts'
import { CERTIFICATE } from './tls-fixture.ts'

const USER = 'weir@example.com'
const PASSWORD = 'p@ss/word:of-the-test'
const FROM = 'alerts@weir.example'
const TO = 'person@example.com'
const { clock } = nodeWorld

interface MailServer extends AsyncDisposable {
  port: number
  mails: ReceivedMail[]
}

/** A process of its own, ended with the test. */
async function openMailServer(options: SmtpServerOptions = {}): Promise<MailServer> {
  const program = fileURLToPath(new URL('smtp-server-fixture.ts', import.meta.url))
  const child = spawn(process.execPath, [program, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const mails: ReceivedMail[] = []
  const lines = createInterface({ input: child.stdout })
  const ready = Promise.withResolvers<number>()
  lines.on('line', (line) => {
    const said = JSON.parse(line) as ReceivedMail | { port: number }
    if ('port' in said) ready.resolve(said.port)
    else mails.push(said)
  })
  child.on('exit', () => ready.reject(new Error('the mail server ended')))
  return {
    port: await ready.promise,
    mails,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
    },
  }
}

const open = (port: number, how: Partial<EmailOptions> & { login?: string } = {}) => {
  const { login = '', ...options } = how
  const url = `smtp://${login}127.0.0.1:${port}`
  return openEmail({ url, from: FROM, to: TO, clock, ca: CERTIFICATE, ...options })
}

const LOGIN = `${encodeURIComponent(USER)}:${encodeURIComponent(PASSWORD)}@`
const PARTS = /^--(\S+?)(?:--)?\r?$/m

/** Header fields of a message, unfolded. */
function fieldsOf(source: string): Map<string, string> {
  const head = source.slice(0, source.indexOf('\r\n\r\n')).replaceAll(/\r\n[ \t]+/g, ' ')
  return new Map(
    head.split('\r\n').map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
}

/** What a part of it says, its encoding undone. */
function partOf(source: string, type: string): string {
  const from = source.indexOf(`Content-Type: ${type}`)
  assert.ok(from >= 0, `${type} in ${source}`)
  const head = source.slice(from, source.indexOf('\r\n\r\n', from))
  const body = source.slice(from + head.length + 4).split(PARTS)[0]!
  if (/base64/.test(head)) return Buffer.from(body, 'base64').toString()
  if (!/quoted-printable/.test(head)) return body
  const bytes = body
    .replaceAll(/=\r\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
  return Buffer.from(bytes, 'latin1').toString()
}

testChannel({
  name: 'email',
  async createBench() {
    const server = await openMailServer({ user: USER, password: PASSWORD })
    return {
      open: ({ port = server.port, ...how } = {}) => open(port, { login: LOGIN, ...how }),
      openRefused: () => open(server.port, { login: `${encodeURIComponent(USER)}:wr0ng-secret@` }),
      received: async () =>
        server.mails.map(({ source }) => ({
          text: partOf(source, 'text/plain'),
          key: fieldsOf(source).get('x-weir-idempotency-key'),
        })),
      secrets: [PASSWORD, 'wr0ng-secret', Buffer.from(PASSWORD).toString('base64')],
      close: async () => server[Symbol.asyncDispose](),
    }
  },
})

const chart = {
  timesUs: Array.from({ length: 60 }, (_, n) => NOW_US - (60 - n) * 1_000_000),
  values: Array.from({ length: 60 }, (_, n) => 60 + n / 2),
}

test('A message has text, HTML and the chart, and goes by TLS after the login', async () => {
  await using server = await openMailServer({ user: USER, password: PASSWORD })
  await open(server.port, { login: LOGIN }).send(notificationOf({}, { chart }), 'key-1')
  const [mail] = server.mails
  assert.deepEqual([mail!.from, mail!.to, mail!.isSecure], [FROM, [TO], true])
  const fields = fieldsOf(mail!.source)
  assert.equal(fields.get('message-id'), messageIdOf('key-1', FROM))
  assert.equal(fields.get('auto-submitted'), 'auto-generated')
  assert.match(partOf(mail!.source, 'text/html'), /<img src="cid:chart@weir"/)
  assert.match(partOf(mail!.source, 'image/svg+xml'), /<polyline/)
  assert.match(mail!.source, /Content-Id: <chart@weir>/i)
})

test('Both ways of TLS are spoken; a server without is not, unless it is allowed', async () => {
  await using secure = await openMailServer({ isSecure: true })
  const url = `smtps://127.0.0.1:${secure.port}`
  await open(secure.port, { url }).send(notificationOf(), 'key-1')
  assert.equal(secure.mails[0]!.isSecure, true)
  await failsAs(openEmail({ url, from: FROM, to: TO, clock }), 'NOTIFY_UNAVAILABLE')
  await using plain = await openMailServer({ hasNoTls: true })
  await failsAs(open(plain.port), 'NOTIFY_REFUSED')
  assert.equal(plain.mails.length, 0)
  await open(plain.port, { allowPlain: true }).send(notificationOf(), 'key-1')
  assert.equal(plain.mails[0]!.isSecure, false)
})

test('N2 4xx of SMTP comes again, 5xx is for good', async () => {
  await using busy = await openMailServer({ rcptCode: 451 })
  await failsAs(open(busy.port), 'NOTIFY_UNAVAILABLE')
  await using unknown = await openMailServer({ rcptCode: 550 })
  await failsAs(open(unknown.port), 'NOTIFY_REFUSED')
})

test('N6 no name adds a header, a receiver or a second message', async () => {
  await using server = await openMailServer()
  const deviceId = 'pump\r\nBcc: thief@example.com\r\nX-Evil: yes\r\n\r\n.\r\nMAIL FROM:<a@b>'
  const channel = open(server.port)
  await channel.send(notificationOf({ deviceId, ruleId: '<b>"&\'' }), 'a"b<c>@d')
  assert.equal(server.mails.length, 1)
  const { source, to } = server.mails[0]!
  assert.deepEqual(to, [TO])
  const fields = fieldsOf(source)
  assert.deepEqual([fields.has('bcc'), fields.has('x-evil')], [false, false])
  assert.match(fields.get('message-id')!, /^<[0-9a-f]{40}@weir\.example>$/)
  assert.ok(partOf(source, 'text/html').includes('&lt;b&gt;&quot;&amp;&#39;'))
})

test('Only one plain mailbox is taken, and only an address of SMTP', () => {
  const options = { url: 'smtp://127.0.0.1', from: FROM, to: TO, clock }
  for (const to of [
    ...['a@b.c, d@e.f', 'a@b.c\r\nBcc: d@e.f', 'Name <a@b.c>', 'a', '', 'a@b@c'],
    ...['group:a@b.c;', 'a@b.c '],
  ]) {
    assert.throws(() => openEmail({ ...options, to }), { code: 'NOTIFY_ENDPOINT_INVALID' }, to)
    assert.throws(() => openEmail({ ...options, from: to }), { code: 'NOTIFY_ENDPOINT_INVALID' })
  }
  for (const url of ['http://127.0.0.1', '', 'smtp://', 'smtp://a:%zz@127.0.0.1'])
    assert.throws(() => openEmail({ ...options, url }), { code: 'NOTIFY_ENDPOINT_INVALID' }, url)
})
