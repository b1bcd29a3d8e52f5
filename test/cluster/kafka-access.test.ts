/** Who is there, and who asks: SASL and TLS, and what is said when one of them fails. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import type { KafkaSasl } from '../../src/kafka/kafka.ts'
import type { WeirError } from '../../src/errors/errors.ts'
import { accessOf } from './cluster.ts'
import { brokers, createTopic, open, readAll, skip } from './kafka-fixture.ts'

const access = accessOf('kafka') ?? {}
const listOf = (name: string): string[] => (access[name] ?? '').split(',')
const saslBrokers = listOf('saslBrokers')
const tlsBrokers = listOf('tlsBrokers')
const caFile = access['tlsCaFile'] ?? ''
const username = access['saslUsername'] ?? ''
const password = access['saslPassword'] ?? ''

async function appendsAndReads(options: Parameters<typeof open>[0]): Promise<void> {
  const kafka = await open(options)
  const topic = await createTopic(kafka)
  await kafka.createAppender(topic).append([{ partition: 0, value: Buffer.from('safe') }])
  const [entry] = await readAll(kafka, topic, 0)
  assert.equal(Buffer.from(entry!.value).toString(), 'safe')
  await kafka.close()
}

/** Refused at once, not after trying for half a minute. */
async function isRefused(options: Parameters<typeof open>[0], says: RegExp): Promise<void> {
  const startMs = performance.now()
  await assert.rejects(open(options), (error: WeirError) => {
    assert.equal(error.code, 'LOG_REQUEST_REFUSED', inspect(error))
    assert.match(error.message, says)
    const text = inspect(error, { depth: 20, showHidden: true })
    assert.doesNotMatch(text, /not-the-password/)
    assert.ok(!text.includes(password))
    return true
  })
  assert.ok(performance.now() - startMs < 5000)
}

for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
  const sasl: KafkaSasl = { mechanism, username, password }
  test(`${mechanism} opens`, { skip }, () => appendsAndReads({ brokers: saslBrokers, sasl }))

  test(`${mechanism} with a wrong password is refused, and says for whom`, { skip }, async () => {
    const wrong = { ...sasl, password: 'not-the-password' }
    await isRefused({ brokers: saslBrokers, sasl: wrong }, new RegExp(`${mechanism} as weir`))
    const unknown = { ...sasl, username: 'nobody' }
    await isRefused({ brokers: saslBrokers, sasl: unknown }, new RegExp(`${mechanism} as nobody`))
  })
}

test('TLS opens with the certificate that signed the brokers’', { skip }, () =>
  appendsAndReads({ brokers: tlsBrokers, tls: { caFile } }),
)

test('a certificate that nobody vouches for is refused', { skip }, () =>
  isRefused({ brokers: tlsBrokers, tls: {} }, /TLS failed: self-signed certificate/),
)

test('a certificate for another name is refused', { skip }, async () => {
  const elsewhere = tlsBrokers.map((address) => address.replace('127.0.0.1', 'localhost'))
  await isRefused({ brokers: elsewhere, tls: { caFile } }, /TLS failed: .*localhost/s)
})

test('the wrong door is named: TLS where there is none, and the other way', { skip }, async () => {
  await isRefused({ brokers, tls: { caFile } }, /TLS/)
  await isRefused({ brokers: tlsBrokers }, /TLS/)
})

test('a broker that is not there is named', async () => {
  const sasl = { mechanism: 'PLAIN', username: 'weir', password: 'not-the-password' } as const
  await assert.rejects(open({ brokers: ['127.0.0.1:1'], sasl }), (error: WeirError) => {
    assert.equal(error.code, 'LOG_UNAVAILABLE')
    assert.match(error.message, /127\.0\.0\.1:1/)
    assert.doesNotMatch(inspect(error, { depth: 20 }), /not-the-password/)
    return true
  })
})
