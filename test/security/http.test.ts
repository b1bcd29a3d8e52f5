/** Attack table, "HTTP", rows 82 and 83, against a real process. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { until, type Answer } from '../system/weir-process.ts'
import { codeOf, Peer } from './peer.ts'
import { openFiles, rowsAgainst, Target, type Counted } from './target.ts'

const config = `
http: { headersTimeout: 300ms, requestTimeout: 1s, idleTimeout: 1s }
log: { segmentBytes: 1 MiB }
`
/** Node looks once a second for what is late. */
const LATE_MS = 6000

const target = await Target.start({ after }, { config })
const { weir } = target
const row = rowsAgainst(target)
const device = await target.device('posting')
const path = '/v1/devices/posting/telemetry'

const refused = (code: string, count: number): Counted => ({
  [`weir_api_refused_total{code="${code}"}`]: count,
})
const answered = (status: number, count: number): Counted => ({
  [`weir_api_requests_total{route="POST /v1/devices/{id}/telemetry",status="${status}"}`]: count,
})
const rejected = (code: string, count: number): Counted => ({
  [`weir_gateway_rejected_total{code="${code}"}`]: count,
})

const post = (body: string | Uint8Array, headers = {}): Promise<Answer> =>
  weir.api(path, { token: device.token, body, headers })

/** A raw connection, and what the server says on it. */
class Line {
  readonly socket: Socket
  text = ''
  isEnded = false
  isClosed = false

  constructor(halfOpen = false) {
    this.socket = connect({ host: '127.0.0.1', port: weir.http, allowHalfOpen: halfOpen })
    this.socket.on('data', (bytes) => (this.text += bytes.toString('latin1')))
    this.socket.on('end', () => (this.isEnded = true))
    this.socket.on('close', () => (this.isClosed = this.isEnded = true))
    this.socket.on('error', () => {})
  }

  /** What the server answered until its end. */
  async answer(): Promise<string> {
    await until('the server closes', () => this.isEnded)
    this.socket.destroy()
    return this.text
  }
}

async function exchange(text: string): Promise<string> {
  const line = new Line()
  line.socket.write(text)
  return line.answer()
}

const head = (...lines: string[]): string =>
  [
    `POST ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${weir.http}`,
    `Authorization: Bearer ${device.token}`,
    ...lines,
    '',
    '',
  ].join('\r\n')

const problem = (status: number, code: string): RegExp =>
  new RegExp(`^HTTP/1\\.1 ${status} .*"${code}"`, 's')

row(
  82,
  'heads and bodies that drip in are answered 408, and silence ends',
  refused('API_REQUEST_TIMEOUT', 3),
  async () => {
    const lines = [new Line(), new Line(), new Line()]
    const starts = ['', `GET /health HTTP/1.1\r\nHost: x\r\nX-Drip: `, head('Content-Length: 1000')]
    for (const [at, line] of lines.entries()) line.socket.write(starts[at]!)
    const startMs = performance.now()
    while (!lines.every(({ isEnded }) => isEnded)) {
      assert.ok(performance.now() - startMs < LATE_MS, 'it still drips')
      for (const line of lines.slice(1)) if (!line.isEnded) line.socket.write('1')
      await delay(50)
    }
    for (const { text } of lines) assert.match(text, problem(408, 'API_REQUEST_TIMEOUT'))
    for (const { socket } of lines) socket.destroy()
  },
)

row(
  82,
  'a hundred thousand headers, both lengths, a prefaced HTTP/2 and garbage are answered 400',
  refused('API_REQUEST_MALFORMED', 6),
  async () => {
    const malformed = problem(400, 'API_REQUEST_MALFORMED')
    const many = Array.from({ length: 100_000 }, (_, i) => `X-${i}: 1`)
    assert.match(await exchange(head(...many)), malformed)
    const both = head('Content-Length: 7', 'Transfer-Encoding: chunked')
    assert.match(await exchange(`${both}0\r\n\r\n`), malformed)
    assert.match(await exchange(head('Content-Length: 7', 'Content-Length: 8')), malformed)
    const twice = head('Transfer-Encoding: chunked', 'Transfer-Encoding: identity')
    assert.match(await exchange(`${twice}0\r\n\r\n`), malformed)
    assert.match(await exchange('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), malformed)
    assert.match(await exchange(`\u0016\u0003\u0001\u0002${'\u0000'.repeat(600)}`), malformed)
  },
)

row(
  82,
  'who is refused and does not go away loses the connection',
  refused('API_REQUEST_MALFORMED', 50),
  async () => {
    const files = openFiles(target.pid) ?? 0
    const lines = Array.from({ length: 50 }, () => new Line(true))
    for (const { socket } of lines) socket.write('NONSENSE\r\n\r\n')
    await until('all have their answer', () => lines.every(({ isEnded }) => isEnded))
    for (const { text } of lines) assert.match(text, problem(400, 'API_REQUEST_MALFORMED'))
    await until('the files are closed', () => (openFiles(target.pid) ?? 0) <= files + 5)
    for (const { socket } of lines) socket.destroy()
  },
)

row(
  82,
  'who asks again and again without reading an answer loses the connection',
  { ...refused('API_PIPELINE_TOO_LONG', 10), weir_gateway_messages_total: 1 },
  async () => {
    const files = openFiles(target.pid) ?? 0
    const lines = Array.from({ length: 10 }, () => new Line())
    const request = `GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`
    // All at once, of which a megabyte would make a gigabyte of answers.
    for (const { socket } of lines) {
      socket.pause()
      socket.write(request.repeat(200))
    }
    await until('they are cut off', () => lines.every(({ isClosed }) => isClosed))
    // Or one by one, until the kernels take no more of the answers.
    const patient = new Line()
    patient.socket.pause()
    while (!patient.isClosed) {
      patient.socket.write(request)
      await delay(1)
    }
    await until('the files are closed', () => (openFiles(target.pid) ?? 0) <= files + 5)
  },
)

row(
  82,
  'a hundred megabytes of JSON are 413, with a length before the first byte of them',
  answered(413, 2),
  async () => {
    const line = new Line()
    line.socket.write(head('Content-Type: application/json', 'Content-Length: 104857600'))
    assert.match(await line.answer(), problem(413, 'GATEWAY_BODY_TOO_LARGE'))
    const chunked = new Line()
    chunked.socket.write(head('Content-Type: application/json', 'Transfer-Encoding: chunked'))
    const chunk = `10000\r\n${'1'.repeat(0x10000)}\r\n`
    for (let sent = 0; sent < 1600 && !chunked.isEnded; sent++) {
      if (chunked.socket.writableLength === 0) chunked.socket.write(chunk)
      await delay(0)
    }
    assert.match(await chunked.answer(), problem(413, 'GATEWAY_BODY_TOO_LARGE'))
    assert.ok(chunked.socket.bytesWritten < 50 * 2 ** 20, `${chunked.socket.bytesWritten}`)
  },
)

row(
  82,
  'gzip bombs are 413, however many come at once, whatever length they claim',
  answered(413, 21),
  async () => {
    const bomb = gzipSync(Buffer.alloc(100 * 2 ** 20, '['), { level: 9 })
    assert.ok(bomb.length < 120_000)
    const headers = { 'content-encoding': 'gzip' }
    const honest = Array.from({ length: 20 }, () => post(bomb, headers))
    for (const { status, body } of await Promise.all(honest)) {
      assert.deepEqual([status, body['code']], [413, 'GATEWAY_BODY_TOO_LARGE'])
    }
    bomb.writeUInt32LE(1000, bomb.length - 4)
    const lying = Array.from({ length: 20 }, () => post(bomb, headers))
    const codes = (await Promise.all(lying)).map(({ body }) => body['code'])
    assert.ok(codes.includes('GATEWAY_BODY_TOO_LARGE'))
    // Of one credential only so many are tried at once; the others may come again.
    const others = codes.filter((code) => code !== 'GATEWAY_BODY_TOO_LARGE')
    assert.ok(others.length > 0 && others.every((code) => code === 'GATEWAY_OVERLOADED'))
  },
)

row(
  82,
  'a body that becomes more than one entry of the log holds is refused, and the log goes on',
  rejected('TELEMETRY_LIMIT_EXCEEDED', 1),
  async () => {
    const messages = `[${'{"a":1},'.repeat(40_000)}{"a":1}]`
    const headers = { 'content-encoding': 'gzip' }
    const { status, body } = await post(gzipSync(messages, { level: 1 }), headers)
    assert.deepEqual([status, body['code']], [422, 'TELEMETRY_LIMIT_EXCEEDED'])
    assert.equal((await post('{"a":1}')).status, 200)
  },
)

row(
  82,
  'lines of which none is valid become dead letters in as many entries as they need',
  { weir_gateway_dead_letters_total: 100, weir_log_entries_total: 10 },
  async () => {
    // Control characters take six bytes each in a dead letter: 12 MB in entries of less than one.
    const line = `m f="${'\u0001'.repeat(30_000)}`
    const letters = await target.device('lines')
    const body = gzipSync(`${line}"x\n`.repeat(100), { level: 1 })
    const headers = { 'content-type': 'text/plain', 'content-encoding': 'gzip' }
    const answer = await weir.api('/api/v2/write', { token: letters.token, body, headers })
    assert.deepEqual([answer.status, answer.headers.get('x-weir-rejected')], [204, '100'])
    await until('it is taken', async () => (await post('{"a":1}')).status === 200)
  },
)

row(
  82,
  'who asks for megabytes and does not read them loses the connection at the idle time-out',
  { weir_gateway_messages_total: 1 },
  async () => {
    const files = openFiles(target.pid) ?? 0
    const line = new Line()
    line.socket.pause()
    const ask = `GET /v1/dead-letters?limit=1000 HTTP/1.1\r\nHost: 127.0.0.1\r\n`
    line.socket.write(`${ask}Authorization: Bearer ${weir.adminKey}\r\n\r\n`)
    await until('it is there', () => (openFiles(target.pid) ?? 0) > files)
    await until('the file is closed', () => (openFiles(target.pid) ?? 0) <= files)
    line.socket.destroy()
  },
)

/** Bodies that say something else than they seem to, and what becomes of each. */
const poison: [string | Uint8Array, string][] = [
  [`{"ts":${'['.repeat(100_000)}${']'.repeat(100_000)},"x":1}`, 'TIME_FORMAT_INVALID'],
  [`{"x":${'[0,'.repeat(50_000)}`, 'TELEMETRY_JSON_INVALID'],
  [`{"x":${'['.repeat(100_000)}1${']'.repeat(100_000)}}`, 'TELEMETRY_SHAPE_INVALID'],
  [`{"x":${'{"a":'.repeat(40_000)}1${'}'.repeat(40_000)}}`, 'TELEMETRY_SHAPE_INVALID'],
  [`{"tags":${'['.repeat(100_000)}${']'.repeat(100_000)},"x":1}`, 'TELEMETRY_SHAPE_INVALID'],
  [`{"id":${'['.repeat(100_000)}${']'.repeat(100_000)},"x":1}`, 'TELEMETRY_SHAPE_INVALID'],
  [`{"device":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 'GATEWAY_DEVICE_MISSING'],
  [`{"x":${'['.repeat(50_000)}${'1'.repeat(30)}${']'.repeat(50_000)}}`, 'TELEMETRY_JSON_INVALID'],
  ['{"x":1,"__proto__":{"y":1}}', 'TELEMETRY_SHAPE_INVALID'],
  ['{"x":1,"__proto__":1}', 'TELEMETRY_SHAPE_INVALID'],
  ['{"metrics":{"__proto__":1}}', 'TELEMETRY_SHAPE_INVALID'],
  ['{"x":NaN}', 'TELEMETRY_JSON_INVALID'],
  ['{"x":Infinity}', 'TELEMETRY_JSON_INVALID'],
  ['{"x":1e999}', 'TELEMETRY_VALUE_NOT_FINITE'],
  ['{"x":-1e999}', 'TELEMETRY_VALUE_NOT_FINITE'],
  ['{"x":9007199254740993}', 'TELEMETRY_INTEGER_TOO_LARGE'],
  ['{"x":123456789012345678901234567890}', 'TELEMETRY_INTEGER_TOO_LARGE'],
  ['{"id":9007199254740993,"x":1}', 'TELEMETRY_SHAPE_INVALID'],
  ['{"id":"\\ud800","x":1}', 'TELEMETRY_SHAPE_INVALID'],
  ['{"\\ud800":1}', 'TELEMETRY_SHAPE_INVALID'],
  ['{"x":"\\udfff"}', 'TELEMETRY_SHAPE_INVALID'],
  [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'TELEMETRY_JSON_INVALID'],
  [Buffer.from('{"x":"\u00e9"}', 'latin1'), 'TELEMETRY_JSON_INVALID'],
]

row(
  83,
  'JSON that nests, lies, rounds or is no UTF-8 is refused with its reason, by HTTP and by MQTT',
  { ...answered(422, poison.length), weir_gateway_dead_letters_total: poison.length * 2 },
  async () => {
    const peer = await (await Peer.open(weir.mqtt)).join(device)
    for (const [at, [body, code]] of poison.entries()) {
      const { status, body: answer } = await post(body)
      assert.deepEqual([status, answer['code']], [422, code], String(body).slice(0, 60))
      peer.send(peer.publishBytes(device.id, at + 1, body as string))
      const puback = (await peer.received(at + 1))[at]
      assert.ok((codeOf(puback) ?? 0) >= 0x80, code)
      assert.match(String(puback?.properties?.['reasonString']), new RegExp(code))
    }
    peer.destroy()
    // Of a name written twice the last one counts, as JSON.parse has it; nothing is stored twice.
    const ts = Date.now()
    assert.equal((await post(`{"ts":${ts},"twice":1,"twice":2}`)).status, 200)
    await until('it is stored', async () => (await weir.points(device.id, 'twice')).length === 1)
    assert.equal((await weir.points(device.id, 'twice'))[0]?.[1], 2)
  },
)

row(
  83,
  'the same in the API’s own bodies is 400',
  { 'weir_api_requests_total{route="POST /v1/devices",status="400"}': 7 },
  async () => {
    const deep = `{"id":"x","type":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    const bodies = [deep, '{"__proto__":{"id":"x"},"type":"generic"}', '{"id":NaN}', '{"id":1e999}']
    const odd = ['{"id":"x","type":"generic","id":5}', '{"id":"\\ud800","type":"generic"}']
    const invalid = Buffer.from([0x22, 0xff, 0x22])
    for (const body of [...bodies, ...odd, invalid]) {
      const answer = await weir.api('/v1/devices', { body })
      assert.deepEqual([answer.status, answer.body['code']], [400, 'API_BODY_INVALID'])
    }
  },
)
