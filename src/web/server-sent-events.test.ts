import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EventStreamParser, type ServerSentEvent } from './server-sent-events.ts'

const parse = (...chunks: string[]): ServerSentEvent[] => {
  const parser = new EventStreamParser()
  return chunks.flatMap((chunk) => parser.push(chunk))
}

test('an event is complete at its empty line and not before', () => {
  assert.deepEqual(parse('event: rate\ndata: {"a":1}\n'), [])
  assert.deepEqual(parse('event: rate\ndata: {"a":1}\n\n'), [{ event: 'rate', data: '{"a":1}' }])
})

test('comments, ids and retry times are no events', () => {
  assert.deepEqual(parse('retry: 2000\n\n: heartbeat\n\nid: 7\nevent: x\n\n'), [])
})

test('data of several lines is joined, and one space after the colon is no part of it', () => {
  assert.deepEqual(parse('data:  a\ndata:b\ndata\n\n'), [{ event: 'message', data: ' a\nb\n' }])
})

test('the name of an event does not leak into the next one', () => {
  const [, second] = parse('event: alert\ndata: 1\n\ndata: 2\n\n')
  assert.deepEqual(second, { event: 'message', data: '2' })
})

test('however the bytes are cut and the lines are ended, the events are the same', () => {
  const line = fc.stringMatching(/^[ -~]{0,12}$/)
  const events = fc.array(
    fc.record({ event: fc.stringMatching(/^[a-z]{1,6}$/), data: line }, { noNullPrototype: true }),
  )
  const cuts = fc.array(fc.nat(), { maxLength: 20 })
  const ends = fc.constantFrom('\n', '\r\n', '\r')
  fc.assert(
    fc.property(events, cuts, ends, (wanted, places, end) => {
      const text = wanted
        .map(({ event, data }) => [`event: ${event}`, `data: ${data}`, '', ''].join(end))
        .join('')
      const sorted = places.map((place) => place % (text.length + 1)).sort((a, b) => a - b)
      const chunks = [...sorted, text.length].map((to, index) =>
        text.slice(sorted[index - 1] ?? 0, to),
      )
      // A last CR may be half of a CRLF, so it is read with the next byte: a heartbeat's colon.
      assert.deepEqual(parse(...chunks, ':\n'), wanted)
    }),
  )
})

test('an event without an end is refused before it fills the memory', () => {
  const parser = new EventStreamParser()
  const chunk = 'x'.repeat(1 << 18)
  assert.throws(() => {
    for (let i = 0; i < 8; i++) parser.push(chunk)
  }, RangeError)
})
