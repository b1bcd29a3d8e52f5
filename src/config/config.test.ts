import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { WeirError, type ErrorCode } from '../errors/errors.ts'
import { loadConfig, printConfig, SETTINGS, type ConfigSources } from './config.ts'
import { formatRefused, secret, toWritten } from './settings.ts'

const file = (text: string): ConfigSources => ({ file: { name: 'weir.yaml', text } })

function refusal(sources: ConfigSources): { code: ErrorCode; lines: string[] } {
  try {
    loadConfig(sources)
  } catch (error) {
    assert.ok(error instanceof WeirError, String(error))
    return { code: error.code, lines: error.message.split('\n') }
  }
  return assert.fail('was taken')
}

test('without any source every default fits its own schema and has its unit resolved', () => {
  const config = loadConfig()
  assert.equal(config.data, './weir-data')
  assert.deepEqual(config.http, {
    host: '127.0.0.1',
    port: 8080,
    hosts: [],
    bodyBytesMax: 8 * 1024 ** 2,
    inflatedBytesMax: 16 * 1024 ** 2,
    bodiesBytesMax: 128 * 1024 ** 2,
    headersTimeoutUs: 10_000_000,
    requestTimeoutUs: 60_000_000,
    idleTimeoutUs: 300_000_000,
    connectionsMax: 10_000,
  })
  assert.equal(config.mqtt.connectTimeoutUs, 10_000_000)
  assert.equal(config.mqtt.keepAliveMaxUs, 1_200_000_000)
  assert.equal(config.stream.stateTtlUs, 86_400_000_000)
  assert.deepEqual(config.gateway.deviceTags, ['device_id', 'host', 'name', 'device'])
})

test('a flag beats a variable beats the file beats the default', () => {
  const text = 'http: {port: 1, host: a}\nmqtt: {port: 1}\nlog: {segmentBytes: 1 GiB}'
  const config = loadConfig({
    ...file(text),
    env: { WEIR_HTTP_PORT: '2', WEIR_MQTT_PORT: '2', WEIR_GATEWAY_DEVICE_TAGS: 'a, b', PATH: 'x' },
    flags: { 'http.port': '0', 'mqtt.port': undefined, data: './d' },
  })
  assert.deepEqual([config.http.port, config.mqtt.port, config.http.host], [0, 2, 'a'])
  assert.equal(config.log.segmentBytes, 1024 ** 3)
  assert.deepEqual(config.gateway.deviceTags, ['a', 'b'])
  assert.equal(config.data, './d')
})

test('flags may be typed values as well as text', () => {
  const flags = { 'http.port': 0, 'log.segmentBytes': 1024 ** 2, 'stream.checkpointInterval': '1s' }
  const config = loadConfig({ flags })
  assert.deepEqual([config.http.port, config.log.segmentBytes], [0, 1024 ** 2])
  assert.equal(config.stream.checkpointIntervalUs, 1_000_000)
})

test('an unknown key refuses with its place and the nearest known key', () => {
  assert.deepEqual(refusal(file('http:\n  prot: 1\nhtpp: {}')), {
    code: 'CONFIG_KEY_UNKNOWN',
    lines: [
      '2 problems:',
      'weir.yaml:2:3 http.prot: unknown key; did you mean "port"?',
      'weir.yaml:3:1 htpp: unknown key; did you mean "http"?',
    ],
  })
  assert.deepEqual(refusal({ env: { WEIR_HTTP_PROT: '1' } }), {
    code: 'CONFIG_KEY_UNKNOWN',
    lines: ['environment WEIR_HTTP_PROT: unknown key; did you mean "WEIR_HTTP_PORT"?'],
  })
  assert.deepEqual(refusal({ flags: { 'http.prot': '1' } }), {
    code: 'CONFIG_KEY_UNKNOWN',
    lines: ['flags http.prot: unknown key; did you mean "http.port"?'],
  })
})

test('variables that belong to no stage are left to others', () => {
  assert.deepEqual(loadConfig({ env: { WEIR_TOKEN: 'x', WEIR_URL: 'y' } }), loadConfig())
})

test('wrong values are reported together, with what was found and what is expected', () => {
  const { code, lines } = refusal({
    ...file('http: {port: 70000}\nlog: {segmentBytes: 1 KiB}\nmqtt: 3\nquery: {rowsMax: many}'),
    env: { WEIR_STREAM_STATE_TTL: '1y' },
    flags: { 'gateway.deviceTags': [1] },
  })
  assert.equal(code, 'CONFIG_VALUE_INVALID')
  assert.deepEqual(lines, [
    'flags gateway.deviceTags: found [1], expected a list, each item a text',
    'environment stream.stateTtl: found "1y", expected a duration from 1m to 3650d',
    '4 problems:',
    'weir.yaml:1:8 http.port: found 70000, expected a whole number from 0 to 65,535',
    'weir.yaml:2:7 log.segmentBytes: found "1 KiB", expected bytes from 64 KiB to 1 GiB',
    'weir.yaml:3:1 mqtt: found 3, expected a map of keys and values',
    'weir.yaml:4:9 query.rowsMax: found "many", expected a whole number from 1 to 1,000,000,000',
  ])
})

test('settings that contradict each other refuse', () => {
  const { lines } = refusal({ flags: { 'mqtt.packetBytesMax': '1 KiB' } })
  assert.match(
    lines.join('\n'),
    /mqtt\.connectPacketBytesMax: found more than mqtt\.packetBytesMax/,
  )
})

test('what printConfig prints is read again as the same configuration', () => {
  const config = loadConfig({
    flags: { 'log.segmentBytes': 100_001, 'mqtt.connectTimeout': '1500ms' },
  })
  const printed = printConfig(config)
  assert.deepEqual(loadConfig(file(printed)), config)
  assert.equal(
    (parse(printed) as { mqtt: { connectTimeout: string } }).mqtt.connectTimeout,
    '1500ms',
  )
})

test('every setting has one path, one flag and one variable', () => {
  for (const name of ['path', 'flag', 'variable'] as const)
    assert.equal(new Set(SETTINGS.map((place) => place[name])).size, SETTINGS.length)
  const place = SETTINGS.find(({ path }) => path === 'http.bodyBytesMax')!
  assert.deepEqual(
    [place.flag, place.variable],
    ['--http-body-bytes-max', 'WEIR_HTTP_BODY_BYTES_MAX'],
  )
})

test('a secret is never shown: neither printed nor named when refused', () => {
  const schema = secret('A key.')
  assert.equal(toWritten(schema, 'abc'), '***')
  assert.equal(formatRefused(schema, 'abc'), '***')
})
