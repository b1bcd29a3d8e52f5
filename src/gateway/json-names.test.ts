import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { namesOfDevices } from './json-names.ts'

const namesIn = (text: string, known: string[] = []): string[] => {
  const bytes = new TextEncoder().encode(text)
  return [
    ...namesOfDevices(bytes, (start, end) =>
      known.includes(new TextDecoder().decode(bytes.subarray(start, end))),
    ),
  ].toSorted()
}

test('each name once, without those that are known', () => {
  const body = '[{"device":"a","x":1},{"x":2,"device" :\\n "b"},{"device":"a"},{"device":"ü"}]'
  assert.deepEqual(namesIn(body.replaceAll('\\n', '\n')), ['a', 'b', 'ü'])
  assert.deepEqual(namesIn(body.replaceAll('\\n', '\n'), ['a', 'ü']), ['b'])
})

test('no name: a value, a number, an end in the middle, bytes that are no text', () => {
  for (const body of ['', '{"mode":"device"}', '{"device":7}', '{"device"', '{"device":"a', '[]'])
    assert.deepEqual(namesIn(body), [])
  const bytes = Buffer.from('{"device":"?"}')
  bytes[11] = 0xff
  assert.deepEqual([...namesOfDevices(bytes, () => false)], [])
})

test('names and keys written with escapes are found, too', () => {
  assert.deepEqual(namesIn(String.raw`[{"device":"a\u0062"},{"\u0064evice":"c"},null,1]`), [
    'ab',
    'c',
  ])
  assert.deepEqual(namesIn(String.raw`{"device":"a\u0062"`), [])
})

test('whatever JSON comes, no device that a message names is missing', () => {
  const name = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('device', '"', 'a'))
  const message = fc.dictionary(fc.oneof(fc.constant('device'), name), fc.oneof(name, fc.integer()))
  fc.assert(
    fc.property(fc.array(message), fc.constantFrom(undefined, 1, '\t'), (messages, indent) => {
      const found = new Set(namesIn(JSON.stringify(messages, undefined, indent)))
      for (const { device } of messages)
        if (typeof device === 'string' && device.isWellFormed()) assert.ok(found.has(device))
    }),
    { numRuns: 500 },
  )
})
