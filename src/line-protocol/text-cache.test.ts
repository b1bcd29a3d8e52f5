import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TextCache } from './text-cache.ts'

test('L4 texts that share a slot are told apart by length and bytes', () => {
  const cache = new TextCache()
  const bytes = Buffer.from('abcabd')
  const sameHash = 7
  assert.equal(cache.text(bytes, 0, 3, sameHash), 'abc')
  assert.equal(cache.text(bytes, 0, 2, sameHash), 'ab')
  assert.equal(cache.text(bytes, 0, 3, sameHash), 'abc')
  assert.equal(cache.text(bytes, 3, 6, sameHash), 'abd')
  assert.equal(cache.text(bytes, 0, 0, sameHash), '')
})
