/** From the configuration to the options of alerts, for both engines. */
import type { AlertOptions } from '../alerts/open-alerts.ts'
import type { Config } from '../config/config.ts'
import { openMqttPublish } from '../notify/mqtt.ts'
import { nodeWorld } from '../world/node-world.ts'

const { clock } = nodeWorld

/** `ownUrl`: how this server is reached, where nobody said how people reach it. */
export function alertOptions({ alerts }: Config, ownUrl: string): AlertOptions {
  const { smtpUrl, smtpFrom, smtpPlain, mqttUrl, awsRegion } = alerts
  const smtp = { url: smtpUrl, from: smtpFrom, allowPlain: smtpPlain }
  return {
    publicUrl: alerts.publicUrl === '' ? ownUrl : alerts.publicUrl,
    allowPrivateWebhooks: alerts.allowPrivateWebhooks,
    ...(smtpUrl === '' ? {} : { smtp }),
    ...(mqttUrl === '' ? {} : { publish: openMqttPublish({ url: mqttUrl, clock }) }),
    ...(awsRegion === '' ? {} : { aws: awsAccess(alerts) }),
    retentionUs: alerts.retentionUs,
    lifeUs: alerts.messageLifeUs,
    times: {
      ...{ reopenUs: alerts.reopenWithinUs, flapEpisodes: alerts.flapEpisodes },
      ...{ flapWithinUs: alerts.flapWithinUs, parentWaitUs: alerts.parentWaitUs },
    },
  }
}

function awsAccess({ awsRegion, awsEndpoint, awsAccessKey, awsSecretKey }: Config['alerts']) {
  const credentials = { accessKey: awsAccessKey, secretKey: awsSecretKey }
  return {
    region: awsRegion,
    ...(awsEndpoint === '' ? {} : { endpoint: awsEndpoint }),
    ...(awsAccessKey === '' ? {} : { credentials }),
  }
}
