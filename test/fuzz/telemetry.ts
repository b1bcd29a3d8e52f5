/** JSON telemetry: learned shapes against the slow way, both against JSON.parse; numbers. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { scanNumber, scanner } from '../../src/gateway/number-scanner.ts'
import { NOW_US, TestGateway } from '../../src/gateway/testing.ts'
import { mutated, oneOf } from './bytes.ts'
import { claim, type FuzzTarget } from './claim.ts'

const NOW_MS = NOW_US / 1000
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

/** JSON as devices write it: blanks anywhere, numbers in every notation, names escaped or not. */
const blank = fc.constantFrom('', '', '', ' ', '\n', '\t ', '\r\n')
const digits = fc.stringMatching(/^[0-9]{1,20}$/)
const number = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.integer({ min: -200, max: 200 }).map(String),
  fc.tuple(digits, digits).map(([whole, fraction]) => `${whole}.${fraction}`),
  fc
    .tuple(digits, fc.constantFrom('e', 'E'), fc.constantFrom('', '+', '-'), digits)
    .map((parts) => parts.join('')),
  fc.constantFrom('-0', '0', '00', '01', '1.', '.5', '-', '1e', '-1e-7', '1e400', '1E+2', '2e-400'),
)
const scalar = fc.oneof(
  { weight: 5, arbitrary: number },
  fc.constantFrom(
    'true',
    'false',
    'tru',
    'null',
    '"ok"',
    '"\\u00e9"',
    '"\\ud800"',
    '[]',
    '{}',
    '"',
  ),
)
const name = fc.constantFrom(
  ...['temperature', 'pressure', 'running', 'mode', 'x', '\\u0078', 'é', 'a b', '__proto__'],
)
const time = fc.oneof(
  fc.integer({ min: -1_000_000, max: 10_000 }).map((offset) => String(NOW_MS + offset)),
  fc.constantFrom('0', `${NOW_MS}.5`, `${NOW_MS / 1000}`, '"2025-10-09T08:53:20Z"', '1.7e12', '-1'),
)
const envelope = fc.oneof(
  time.map((value) => `"ts":${value}`),
  fc.constantFrom(
    '"id":"a"',
    '"id":"bé"',
    '"id":7',
    '"id":""',
    '"schema":"pump@1"',
    '"tags":{"a":1}',
  ),
  fc.constantFrom('"device":"pump-1"', '"device":"generic-1"', '"device":"nobody"', '"device":5'),
)
const metric = fc.tuple(name, blank, scalar).map(([key, gap, value]) => `"${key}":${gap}${value}`)
const members = (one: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(fc.array(one, { maxLength: 5 }), blank)
    .map(([all, gap]) => `{${gap}${all.join(`${gap},${gap}`)}${gap}}`)
const flat = members(fc.oneof({ weight: 3, arbitrary: metric }, envelope))
const nested = fc
  .tuple(members(metric), fc.array(envelope, { maxLength: 3 }))
  .map(([metrics, around]) => `{${[...around, `"metrics":${metrics}`].join(', ')}}`)
const message = fc.oneof(flat, nested)
const body = fc.oneof(
  { weight: 4, arbitrary: message.map(encode) },
  fc.array(message, { maxLength: 4 }).map((all) => encode(`[${all.join(' , ')}]`)),
  mutated(message.map(encode)),
)
const device = fc.constantFrom('pump-1', 'generic-1', undefined)

/** A body that comes again and again with other numbers in it, as it does from a device. */
const series = fc
  .tuple(message, fc.array(fc.array(number, { minLength: 8, maxLength: 8 }), { maxLength: 3 }))
  .map(([first, others]) => [
    first,
    ...others.map((numbers) => {
      let at = 0
      return first.replaceAll(/-?\d+(\.\d+)?([eE][+-]?\d+)?/g, () => numbers[at++ % 8]!)
    }),
  ])

function outcomeOf(gateway: TestGateway, bytes: Uint8Array, from: string | undefined): unknown {
  gateway.json(bytes, from)
  const { accepted, rejectedCount, rejected } = gateway.decoder.outcome
  const codes = rejected.map(({ index, code, detail }) => [index, code, detail])
  return { accepted, rejectedCount, codes, ...gateway.take() }
}

/** One decoder learns, the other forgets before each body. */
function agree(bodies: readonly Uint8Array[], from: string | undefined): void {
  const learned = new TestGateway()
  const fresh = new TestGateway()
  for (const bytes of bodies) {
    fresh.forget()
    assert.deepEqual(outcomeOf(learned, bytes, from), outcomeOf(fresh, bytes, from))
  }
}

/** The readings of an accepted message, by JSON.parse alone. */
function naive(text: string): Record<string, number | string> {
  const value = JSON.parse(text) as Record<string, unknown>
  const inner = value['metrics']
  const source = typeof inner === 'object' && inner !== null ? inner : value
  const reserved = ['ts', 'id', 'schema', 'tags', 'device', 'metrics']
  return Object.fromEntries(
    Object.entries(source as Record<string, number | boolean | string>)
      .filter(([key]) => source !== value || !reserved.includes(key))
      .map(([key, entry]) => [key, typeof entry === 'boolean' ? Number(entry) : entry]),
  )
}

function matchesNaive(texts: readonly string[], from: string | undefined): void {
  const gateway = new TestGateway()
  for (const text of [...texts, ...texts]) {
    gateway.json(text, from)
    const { accepted } = gateway.decoder.outcome
    const { messages } = gateway.take()
    assert.equal(messages.length, accepted)
    if (accepted === 1) assert.deepEqual(messages[0]!.readings, naive(text))
  }
}

/** An array is what its elements are, one after the other; a wrong one counts as a whole. */
function arrayIsItsElements(texts: readonly string[], from: string | undefined): void {
  const single = new TestGateway()
  const each = texts.map((text) => {
    single.json(text, from)
    const { accepted, rejected } = single.decoder.outcome
    return { accepted, code: rejected[0]?.code, ...single.take() }
  })
  const array = new TestGateway()
  array.json(`[${texts.join(',')}]`, from)
  const { accepted, rejected } = array.decoder.outcome
  const { messages } = array.take()
  if (each.some(({ code }) => code === 'TELEMETRY_JSON_INVALID')) {
    assert.ok(accepted === 0 || rejected.length > 0)
    return
  }
  assert.deepEqual(
    messages.map(({ readings }) => readings),
    each.flatMap((one) => one.messages.map(({ readings }) => readings)),
  )
  assert.deepEqual(
    rejected.map(({ index, code }) => [index, code]),
    each.flatMap(({ code }, index) => (code === undefined ? [] : [[index, code]])),
  )
}

const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/

/** Against the grammar of RFC 8259 and Number(). */
function scansAsJson(text: string): void {
  const bytes = encode(text)
  const found = JSON_NUMBER.exec(text)?.[0]
  const scanned = scanNumber(bytes, 0)
  if (found === undefined) {
    assert.ok(Number.isNaN(scanned), text)
    return
  }
  const value = Number(found)
  const behind = text[found.length] ?? ''
  // What cannot end a number in JSON may be refused; what is refused goes the slow way.
  const mayGiveUp = /[\d.eE+-]/.test(behind) || Math.abs(value) > Number.MAX_SAFE_INTEGER
  if (Number.isNaN(scanned)) {
    assert.ok(mayGiveUp, text)
    return
  }
  assert.equal(scanned, value, text)
  assert.equal(scanner.end, found.length, text)
}

export const telemetryTarget: FuzzTarget = {
  name: 'telemetry',
  claims: [
    claim(
      'what was learned of other messages changes nothing in how one is read',
      400,
      fc.property(fc.array(body, { minLength: 1, maxLength: 8 }), device, (bodies, from) =>
        agree([...bodies, ...bodies], from),
      ),
    ),
    claim(
      'a message that comes again with other numbers is read as if it were the first',
      400,
      fc.property(series, device, (texts, from) => agree(texts.map(encode), from)),
    ),
    claim(
      'changed bytes of a learned message are read as by one that never learned',
      600,
      fc.property(
        message.chain((text) =>
          fc.tuple(
            fc.constant(text),
            fc.array(mutated(fc.constant(encode(text))), { maxLength: 6 }),
          ),
        ),
        device,
        ([text, changed], from) => agree([encode(text), encode(text), ...changed], from),
      ),
    ),
    claim(
      'what is accepted holds the readings that JSON.parse finds',
      400,
      fc.property(fc.array(message, { maxLength: 5 }), device, matchesNaive),
    ),
    claim(
      'an array is accepted and refused as its elements are',
      300,
      fc.property(fc.array(message, { minLength: 1, maxLength: 5 }), device, arrayIsItsElements),
    ),
    claim(
      'a number is scanned as JSON has it, or not at all',
      4000,
      fc.property(
        fc.oneof(
          fc
            .tuple(number, fc.constantFrom('', ',', '}', ' ', 'e', '.', '1', 'x'))
            .map((two) => two.join('')),
          fc.string({ unit: oneOf('0123456789.-+eE, ]'), maxLength: 30 }),
        ),
        scansAsJson,
      ),
    ),
  ],
}
