/**
 * A device that speaks MQTT through the stock npm client, which keeps and resends as clients do.
 */
import { connect, type Socket } from 'node:net'
import { MqttClient, type IClientOptions } from 'mqtt'

/** QoS 1, as everything that asks for an acknowledgement. */
export const ACKNOWLEDGED = { qos: 1 } as const

export const topicOf = (device: string): string => `devices/${device}/telemetry`

/**
 * The client connects, and reconnects by itself. `port` is asked each time, since a restarted
 * server has another one.
 */
export function openMqttDevice(of: {
  id: string
  token: string
  version: 4 | 5
  port: () => number
  options?: IClientOptions
}): MqttClient {
  const dial = (): Socket => connect(of.port(), '127.0.0.1')
  const client = new MqttClient(dial, {
    protocolVersion: of.version,
    clientId: `${of.id}-v${of.version}`,
    username: of.id,
    password: of.token,
    reconnectPeriod: 50,
    connectTimeout: 5_000,
    ...of.options,
  })
  // A refused connection is tried again; without a listener it would end the test.
  client.on('error', () => {})
  return client
}
