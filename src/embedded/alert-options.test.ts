import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '../config/config.ts'
import { alertOptions } from './alert-options.ts'

test('Without settings alerts are told of in the safe way, and by no mail server', () => {
  const options = alertOptions(loadConfig(), 'http://127.0.0.1:8080')
  assert.deepEqual(options, {
    publicUrl: 'http://127.0.0.1:8080',
    allowPrivateWebhooks: false,
    retentionUs: 90 * 86_400_000_000,
    lifeUs: 86_400_000_000,
    times: {
      ...{ reopenUs: 300_000_000, flapEpisodes: 5, flapWithinUs: 1_800_000_000 },
      parentWaitUs: 10_000_000,
    },
  })
})

test('Mail server, AWS and the page’s address come from the environment, too', () => {
  const env = {
    ...{
      WEIR_ALERTS_SMTP_URL: 'smtps://u:p@mail.example',
      WEIR_ALERTS_SMTP_FROM: 'weir@a.example',
    },
    ...{ WEIR_ALERTS_AWS_REGION: 'eu-central-1', WEIR_ALERTS_AWS_ACCESS_KEY: 'k' },
    ...{ WEIR_ALERTS_AWS_SECRET_KEY: 's', WEIR_ALERTS_PUBLIC_URL: 'https://weir.example' },
  }
  const options = alertOptions(loadConfig({ env }), 'http://127.0.0.1:8080')
  assert.equal(options.publicUrl, 'https://weir.example')
  assert.deepEqual(options.smtp, {
    ...{ url: 'smtps://u:p@mail.example', from: 'weir@a.example', allowPlain: false },
  })
  const credentials = { accessKey: 'k', secretKey: 's' }
  assert.deepEqual(options.aws, { region: 'eu-central-1', credentials })
})
