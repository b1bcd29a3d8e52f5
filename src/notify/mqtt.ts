/**
 * Messages to an MQTT broker, which the operator chose: its address is not guarded. Connects with
 * each message, as email does: notifications are few, and a connection that nobody watches is down
 * when it is wanted.
 */
import type { IClientOptions, MqttClient } from 'mqtt'
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import { withDeadline } from './deadline.ts'

export interface MqttBroker {
  /** `mqtts://user:password@host:8883` or `mqtt://host:1883`. */
  url: string
  /** More certificates to believe, as PEM. */
  ca?: string
  clock: Clock
  timeoutMs?: number
}

/**
 * Resolves once the broker has acknowledged it: QoS 1 [MQTT-4.3.2]. Errors: NOTIFY_REFUSED,
 * NOTIFY_UNAVAILABLE.
 */
export type MqttPublish = (topic: string, payload: string, idempotencyKey: string) => Promise<void>

const TIMEOUT_MS = 20_000
/** Reason codes of MQTT 5 that no repetition mends: credentials, rights, topic, size. */
const REFUSED_FOR_GOOD = new Set([0x86, 0x87, 0x8a, 0x8c, 0x90, 0x95, 0x99])

/** Errors: NOTIFY_ENDPOINT_INVALID. */
export function openMqttPublish(broker: MqttBroker): MqttPublish {
  const { clock, timeoutMs = TIMEOUT_MS } = broker
  const url = parseBroker(broker.url)
  const options = optionsOf(broker, url)
  const place = url.host
  const closed = new AbortController().signal
  return async (topic, payload, idempotencyKey) => {
    let client: MqttClient | undefined
    try {
      await withDeadline({ clock, timeoutMs, closed, place }, async (signal) => {
        // Loaded when somebody wants it: a start does not pay for it.
        const { connectAsync } = await import('mqtt')
        client = await connectAsync(`${url.protocol}//${url.host}`, options)
        if (signal.aborted) return void client.end(true)
        const properties = { userProperties: { 'idempotency-key': idempotencyKey } }
        await client.publishAsync(topic, payload, { qos: 1, properties })
      })
    } catch (error) {
      throw named(error, place, url)
    } finally {
      client?.end(true)
    }
  }
}

function parseBroker(text: string): URL {
  const url = URL.parse(text)
  if (url !== null && url.hostname !== '' && /^mqtts?:$/.test(url.protocol)) return url
  throw new WeirError('NOTIFY_ENDPOINT_INVALID', 'not an address such as mqtts://host:8883')
}

const optionsOf = ({ ca, timeoutMs = TIMEOUT_MS }: MqttBroker, url: URL): IClientOptions => ({
  protocolVersion: 5,
  clean: true,
  reconnectPeriod: 0,
  connectTimeout: timeoutMs,
  ...(url.username !== '' && {
    username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
  }),
  ...(ca !== undefined && { ca }),
})

function named(error: unknown, place: string, { password }: URL): WeirError {
  if (error instanceof WeirError) return error
  const { code, message = '' } = error as { code?: number | string; message?: string }
  const isForGood = typeof code === 'number' && REFUSED_FOR_GOOD.has(code)
  const said = password === '' ? message : message.replaceAll(password, '***')
  const what = isForGood ? 'NOTIFY_REFUSED' : 'NOTIFY_UNAVAILABLE'
  return new WeirError(what, `${place}: ${said.slice(0, 300)}`)
}
