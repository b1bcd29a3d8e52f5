/**
 * A notification as an MQTT message. The gateway sends it; here is only what it looks like. A
 * device's own topic, so that the rights of `devices/{id}/` decide who reads it.
 */
import { notificationBody } from './body.ts'
import type { Notification } from './notify.ts'

export interface MqttMessage {
  topic: string
  /** The JSON of a webhook. */
  payload: string
  /** MQTT 5 alone has them. */
  userProperties: Record<string, string>
}

/** Separators, wildcards, U+0000 and controls of topics [MQTT-4.7.1-1, MQTT-1.5.4-2]. */
const UNTOPICAL = /[/+#\p{Cc}\p{Cs}]/gu

/** `devices/{id}/alerts`, with `_` for what a level may not have. */
export function mqttMessageOf(notification: Notification, idempotencyKey: string): MqttMessage {
  const level = notification.alert.deviceId.replaceAll(UNTOPICAL, '_')
  return {
    topic: `devices/${level}/alerts`,
    payload: notificationBody(notification),
    userProperties: { 'idempotency-key': idempotencyKey },
  }
}
