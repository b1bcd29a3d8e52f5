import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openControl } from '../control/sqlite-control.ts'
import type { WeirError } from '../errors/errors.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { Recipient, Silence } from './alerts.ts'
import { openRecipients, openSilences } from './books.ts'

const folder = mkdtempSync(join(tmpdir(), 'weir-books-'))
after(() => rmSync(folder, { recursive: true }))

const ME: Recipient = {
  name: 'me',
  channels: [{ type: 'webhook', url: 'https://example.org/x', secret: 's3cr3t' }],
}
const QUIET: Silence = { comment: 'works', fromUs: 1, untilUs: 2 }

let files = 0

function openBooks(path = join(folder, `${++files}.db`), countMax?: number) {
  const control = openControl({ path, world: nodeWorld })
  const limit = countMax === undefined ? {} : { countMax }
  const options = { database: control.database, clock: nodeWorld.clock, ...limit }
  return {
    ...{ path, close: () => control.close() },
    recipients: openRecipients({ ...options, endpoint: {} }),
    silences: openSilences(options),
  }
}

const staleAt = (revision: number | null) => (error: WeirError) => {
  assert.equal(error.code, 'CONTROL_REVISION_STALE')
  const current = error.details['current'] as { revision: number; id: string } | null
  assert.equal(current === null ? null : current.revision, revision)
  return true
}

test('A6 a definition changes only from the revision that its editor saw', async () => {
  const { recipients, close } = openBooks()
  await assert.rejects(recipients.put('default', 'a', ME, 1), staleAt(null))
  const first = await recipients.put('default', 'a', ME, 0)
  assert.equal(first.revision, 1)
  assert.deepEqual(first.value, ME)
  await assert.rejects(recipients.put('default', 'a', ME, 0), staleAt(1))
  const second = await recipients.put('default', 'a', { ...ME, name: 'you' }, 1)
  assert.equal(second.revision, 2)
  await assert.rejects(recipients.put('default', 'a', ME, 1), staleAt(2))
  await assert.rejects(recipients.remove('default', 'a', 1), staleAt(2))
  assert.deepEqual(await recipients.find('default', 'a'), second)
  assert.equal((await recipients.put('default', 'a', ME)).revision, 3)
  assert.equal(await recipients.remove('default', 'a', 3), true)
  await assert.rejects(recipients.remove('default', 'a', 3), staleAt(null))
  await close()
})

test('A6 of many who edit one revision at once one wins, and the others hear what it said', async () => {
  const { recipients, close } = openBooks()
  await recipients.put('default', 'a', ME, 0)
  const names = Array.from({ length: 20 }, (_, at) => `editor ${at}`)
  const edits = names.map((name) => recipients.put('default', 'a', { ...ME, name }, 1))
  const answers = await Promise.allSettled(edits)
  const won = answers.filter((answer) => answer.status === 'fulfilled')
  assert.equal(won.length, 1)
  for (const answer of answers) {
    if (answer.status === 'rejected') {
      const { current } = (answer.reason as WeirError).details as { current: { value: Recipient } }
      assert.equal(current.value.name, won[0]!.value.value.name)
    }
  }
  await close()
})

test('without an expectation all get through, each with a revision of its own', async () => {
  const { recipients, close } = openBooks()
  const edits = Array.from({ length: 20 }, () => recipients.put('default', 'a', ME))
  const revisions = (await Promise.all(edits)).map(({ revision }) => revision)
  assert.deepEqual(
    revisions.sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, at) => at + 1),
  )
  await close()
})

test('revisions go on over a removal, and over a restart; what was said is gone', async () => {
  const { recipients, close, path } = openBooks()
  await recipients.put('default', 'a', ME, 0)
  assert.equal(await recipients.remove('default', 'a'), true)
  assert.equal(await recipients.remove('default', 'a'), false)
  assert.equal(await recipients.find('default', 'a'), undefined)
  await close()
  const again = openBooks(path)
  const kept = await again.recipients.put('default', 'a', { ...ME, name: 'anew' }, 0)
  assert.equal(kept.revision, 3)
  await again.recipients.remove('default', 'a', 3)
  await again.close()
  assert.ok(!readFileSync(path, 'latin1').includes('anew'), 'nothing of it is in the file')
})

test('a list has its own kind and tenant, in pages by id', async () => {
  const { recipients, silences, close } = openBooks()
  const ids = ['Z', 'a', 'b', 'c', 'd.1']
  for (const id of ids.toReversed()) await recipients.put('default', id, ME)
  await recipients.put('other', 'x', ME)
  await recipients.put('default', 'gone', ME)
  await recipients.remove('default', 'gone')
  await silences.put('default', 's', QUIET)
  const first = await recipients.list('default', { limit: 2 })
  const rest = await recipients.list('default', { after: first[1]!.id, limit: 10 })
  assert.deepEqual(
    [...first, ...rest].map(({ id }) => id),
    ids,
  )
  assert.deepEqual(
    (await silences.list('default', { limit: 10 })).map(({ value }) => value),
    [QUIET],
  )
  await close()
})

test('there are so many and no more; a removal makes room', async () => {
  const { silences, close } = openBooks(undefined, 3)
  for (const id of ['a', 'b', 'c']) await silences.put('default', id, QUIET)
  const full = { code: 'CONTROL_DEFINITIONS_EXCEEDED' }
  await assert.rejects(silences.put('default', 'd', QUIET), full)
  await silences.put('other', 'd', QUIET)
  await silences.put('default', 'a', { ...QUIET, comment: 'still' })
  await silences.remove('default', 'b')
  await silences.put('default', 'd', QUIET)
  await assert.rejects(silences.put('default', 'b', QUIET), full)
  await close()
})

test('a recipient that could not be told is refused, with the key', async () => {
  const { recipients, close } = openBooks()
  const webhook = { type: 'webhook', url: 'https://example.org/', secret: 'x' } as const
  const wrong: [Partial<Recipient>, string, RegExp?][] = [
    [{ name: '' }, 'ALERT_RECIPIENT_INVALID', /^name/],
    [{ channels: [] }, 'ALERT_RECIPIENT_INVALID', /^channels/],
    [{ channels: [{ ...webhook, secret: '' }] }, 'ALERT_RECIPIENT_INVALID', /channels\.0\.secret/],
    [{ channels: [{ ...webhook, url: 'https://127.0.0.1/' }] }, 'NOTIFY_ADDRESS_FORBIDDEN'],
    [{ channels: [{ ...webhook, url: 'http://example.org/' }] }, 'NOTIFY_ENDPOINT_INVALID'],
    [{ channels: [{ type: 'slack', url: 'nowhere' }] }, 'NOTIFY_ENDPOINT_INVALID'],
    [{ channels: [{ type: 'email', to: 'a@b.c, d@e.f' }] }, 'ALERT_RECIPIENT_INVALID', /\.0\.to/],
    [
      { channels: [webhook, { type: 'sms', phoneNumber: '1' }] },
      'ALERT_RECIPIENT_INVALID',
      /\.1\./,
    ],
    [{ channels: [{ type: 'sns', topicArn: 'x' }] }, 'ALERT_RECIPIENT_INVALID', /topic_arn/],
    [{ channels: [{ type: 'sqs', queueUrl: 'x' }] }, 'ALERT_RECIPIENT_INVALID', /queue_url/],
    [{ channels: [{ type: 'mqtt', topic: 'a/#' }] }, 'ALERT_RECIPIENT_INVALID', /topic/],
    [{ rateLimit: { messages: 0, perUs: 60e6 } }, 'ALERT_RECIPIENT_INVALID', /rate_limit/],
    [{ rateLimit: { messages: 1, perUs: 1 } }, 'ALERT_RECIPIENT_INVALID', /rate_limit\.per/],
    [
      { quietHours: { from: '22:00', to: '07:00', timeZone: 'Mars' } },
      'ALERT_RECIPIENT_INVALID',
      /quiet_hours: Mars/,
    ],
    [
      { escalation: [{ afterUs: 60e6, recipientIds: ['a'] }] },
      'ALERT_RECIPIENT_INVALID',
      /escalation\.0\.recipients/,
    ],
  ]
  for (const [part, code, problem = /./] of wrong) {
    await assert.rejects(recipients.put('default', 'a', { ...ME, ...part }), (error: WeirError) => {
      assert.equal(error.code, code, JSON.stringify(part))
      assert.match(error.message, problem)
      return true
    })
  }
  assert.equal(await recipients.find('default', 'a'), undefined)
  await close()
})

test('a silence that could never be, or never end, is refused', async () => {
  const { silences, close } = openBooks()
  const hours = { from: '22:00', to: '07:00', timeZone: 'Europe/Berlin' }
  const wrong: Partial<Silence>[] = [
    { untilUs: 1 },
    { comment: 'x'.repeat(1001) },
    { hours: { ...hours, from: '7' } },
    { hours, days: [0] },
    { hours, days: [1, 1] },
    { hours, days: [] },
    { days: [1] },
  ]
  for (const part of wrong) {
    const put = silences.put('default', 'a', { ...QUIET, ...part })
    await assert.rejects(put, { code: 'ALERT_SILENCE_INVALID' }, JSON.stringify(part))
  }
  await silences.put('default', 'a', { ...QUIET, hours, days: [6, 7] })
  await close()
})
