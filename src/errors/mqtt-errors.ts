/** The catalogue's rows of the MQTT door. */
import { row, type CatalogueRow } from './row.ts'

export const MQTT_ERRORS = {
  MQTT_PACKET_MALFORMED: row(
    'The MQTT packet is malformed',
    { http: 400, mqtt: 0x81 },
    'Check the client library.',
  ),
  MQTT_PROTOCOL_ERROR: row(
    'The MQTT protocol was violated',
    { http: 400, mqtt: 0x82 },
    'Check the client library.',
  ),
  MQTT_VERSION_UNSUPPORTED: row(
    'The MQTT version is not supported',
    { http: 400, mqtt: 0x84 },
    'Use MQTT 3.1.1 or 5.',
  ),
  MQTT_CREDENTIALS_INVALID: row(
    'User name or password is wrong',
    { http: 401, mqtt: 0x86 },
    'User name is the device id, password its token.',
  ),
  MQTT_TOPIC_FORBIDDEN: row(
    'The topic is not allowed',
    { http: 403, mqtt: 0x87 },
    'Publish to devices/{id}/telemetry; subscribe under devices/{id}/.',
  ),
  MQTT_TOPIC_INVALID: row(
    'The topic is not acceptable',
    { http: 400, mqtt: 0x90 },
    'Use fewer topic levels, and at most 1,024 bytes.',
  ),
  MQTT_TOPIC_ALIAS_INVALID: row(
    'The topic alias is not valid',
    { http: 400, mqtt: 0x94 },
    'Respect Topic Alias Maximum of the CONNACK.',
  ),
  MQTT_CLIENT_ID_INVALID: row(
    'The client id is not valid',
    { http: 400, mqtt: 0x85 },
    'Give one of at most 256 bytes without / + # and control characters.',
  ),
  MQTT_AUTHENTICATION_METHOD_INVALID: row(
    'The authentication method is not valid',
    { http: 401, mqtt: 0x8c },
    'Leave it out: user name is the device id, password its token.',
  ),
  MQTT_QOS_UNSUPPORTED: row(
    'The QoS is not supported',
    { http: 400, mqtt: 0x9b },
    'Use QoS 0 or 1.',
  ),
  MQTT_RETAIN_UNSUPPORTED: row(
    'Retained messages are not supported',
    { http: 400, mqtt: 0x9a },
    'Publish without the RETAIN flag.',
  ),
  MQTT_RECEIVE_MAXIMUM_EXCEEDED: row(
    'Too many messages in flight',
    { http: 400, mqtt: 0x93 },
    'Respect Receive Maximum of the CONNACK.',
  ),
  MQTT_SUBSCRIPTIONS_EXCEEDED: row(
    'Too many subscriptions',
    { http: 400, mqtt: 0x97 },
    'Subscribe with fewer filters; wildcards below devices/{id}/ are allowed.',
  ),
  MQTT_CONNECTIONS_EXCEEDED: row(
    'Too many connections',
    { http: 429, mqtt: 0x97, retryable: true },
    'Close idle ones, or raise mqtt.connectionsPerDeviceMax or mqtt.connectionsMax.',
  ),
  MQTT_CONNECT_RATE_EXCEEDED: row(
    'The address opens connections too fast',
    { http: 429, mqtt: 0x9f, retryable: true },
    'Reconnect with a growing delay; behind a proxy or NAT raise mqtt.connectRateMax.',
  ),
  MQTT_CONNECT_TIMEOUT: row(
    'The client did not send a whole CONNECT in time',
    { http: 408, mqtt: 0x80, retryable: true },
    'Send CONNECT at once after the connection opened.',
  ),
  MQTT_CLIENT_NOT_READING: row(
    'The client does not read what it is sent',
    { http: 408, mqtt: 0x97, retryable: true },
    'Read acknowledgements as they come.',
  ),
  MQTT_KEEP_ALIVE_TIMEOUT: row(
    'The client was silent too long',
    { http: 408, mqtt: 0x8d, retryable: true },
    'Send PINGREQ within the keep-alive.',
  ),
  MQTT_SESSION_TAKEN_OVER: row(
    'The same client connected again',
    { http: 409, mqtt: 0x8e },
    'Give each connection its own client id.',
  ),
} as const satisfies Record<string, CatalogueRow>
