import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deviceKey, hashKey, partitionOf, topicName } from './entries.ts'

test('E2 keys are hashed as Kafka’s own client does it', () => {
  // From UtilsTest.testMurmur2 of Apache Kafka.
  const known: [string, number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ]
  for (const [key, hash] of known) assert.equal(hashKey(Buffer.from(key)), hash, key)
})

test('E2 a device’s partition is that of its key', () => {
  assert.equal(Buffer.from(deviceKey('ä', 'b')).toString(), 'ä/b')
  assert.equal(partitionOf(Buffer.from('abc'), 12), 479470107 % 12)
  assert.equal(partitionOf(Buffer.from('foobar'), 12), (-790332482 & 0x7fffffff) % 12)
})

test('a topic’s name has the version of its format', () => {
  assert.equal(topicName('weir', 'dead-letters'), 'weir.dead-letters.v1')
})
