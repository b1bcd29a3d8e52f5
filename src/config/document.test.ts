import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readDocument } from './document.ts'

test('a key is found at its line, also behind an alias; a key that is absent at its parent', () => {
  const { source, problems } = readDocument('a: &x\n  b: [1,\n    {c: 2}]\nd: *x\n', 'a.yaml')
  assert.deepEqual(problems, [])
  assert.deepEqual(source.placeOf(['a', 'b', 1, 'c']), { line: 3, column: 6 })
  assert.deepEqual(source.placeOf(['d', 'b']), { line: 2, column: 3 })
  assert.deepEqual(source.placeOf(['a', 'z']), { line: 1, column: 1 })
  assert.deepEqual(source.placeOf(['a', 'b', 7]), { line: 2, column: 3 })
})

test('an empty document is an empty map, and a broken one says where', () => {
  assert.deepEqual(readDocument('# nothing\n', 'a.yaml').value, {})
  const { problems } = readDocument('a: 1\nb: [', 'a.yaml')
  assert.match(problems[0]!.message, /^is not valid YAML at 2:/)
})
