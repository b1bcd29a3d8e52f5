/** The settings of alerts; `stages.ts` has the others. */
import Type from 'typebox'
import { boolean, duration, integer, optionalText, secret, text } from './settings.ts'

export const ALERTS = Type.Object(
  {
    publicUrl: optionalText(
      'Where people reach the page, for the links of messages; empty: as this server is reached on its own machine.',
    ),
    allowPrivateWebhooks: boolean(
      false,
      'Webhooks and Slack may lead to private addresses, and by http. Whoever sets up recipients can then make Weir ask your network.',
    ),
    smtpUrl: secret('smtps://user:password@host:465 or smtp://host:587; empty: nobody gets email.'),
    smtpFrom: text('weir@localhost', 'Address that email comes from.'),
    smtpPlain: boolean(false, 'Without TLS too, where a mail server has none.'),
    mqttUrl: secret(
      'mqtts://user:password@host:8883 or mqtt://host:1883, a broker of yours; empty: nobody is told by MQTT.',
    ),
    awsRegion: optionalText('Region of SNS and SQS; empty: neither they nor SMS are used.'),
    awsEndpoint: optionalText('Another service than AWS that speaks SNS and SQS.'),
    awsAccessKey: optionalText(
      'Who sends; empty: from the environment, the user’s files or the machine’s role, as AWS does.',
    ),
    awsSecretKey: secret('Its secret.'),
    retention: duration(
      '90d',
      ['1d', '36500d'],
      'Alerts that ended, their history and deliveries are removed after this.',
    ),
    messageLife: duration('24h', ['1m', '30d'], 'For how long a message is tried.'),
    reopenWithin: duration(
      '5m',
      ['0s', '1d'],
      'A breach this soon after an alert ended reopens it, and nobody is told. Its end is told after that.',
    ),
    flapEpisodes: integer(
      5,
      [2, 100],
      'So many episodes within `alerts.flapWithin` are folded: for that long the next ones reopen the alert.',
    ),
    flapWithin: duration('30m', ['1m', '1d'], 'See `alerts.flapEpisodes`.'),
    parentWait: duration(
      '10s',
      ['0s', '10m'],
      'That a device is silent is told after this, unless its parent is silent by then.',
    ),
  },
  { additionalProperties: false, description: 'Alerts and notifications.' },
)
