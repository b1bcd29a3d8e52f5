import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '../config/config.ts'
import { nodeWorld } from '../world/node-world.ts'
import { lakePartitions, s3Access } from './accesses.ts'
import { parseRoles } from './roles.ts'

const configOf = (flags: Record<string, unknown>) => loadConfig({ flags })

test('the partitions of a process of the lake', () => {
  const setOf = (partitions: string) =>
    lakePartitions(configOf({ 'lake.partitions': partitions }), 4)
  assert.deepEqual(setOf(''), { set: 'all', partitions: [0, 1, 2, 3] })
  assert.deepEqual(setOf('2'), { set: '2_2', partitions: [2] })
  assert.deepEqual(setOf('1-3'), { set: '1_3', partitions: [1, 2, 3] })
  for (const wrong of ['4', '1-4', '3-2', 'x', '1-', '1,2', '-1']) {
    assert.throws(() => setOf(wrong), { code: 'CONFIG_VALUE_INVALID' }, wrong)
  }
})

test('how the bucket is reached', () => {
  const accessOf = (flags: Record<string, unknown>) => s3Access(configOf(flags), nodeWorld.random)
  assert.throws(() => accessOf({}), { code: 'CONFIG_VALUE_INVALID', message: /lake\.bucket/ })
  const lake = { 'lake.bucket': 'b', 'lake.endpoint': 'http://127.0.0.1:9000' }
  const keys = { 'lake.accessKey': 'a', 'lake.secretKey': 's' }
  const { credentials, endpoint, usesPathStyle } = accessOf({ ...lake, ...keys })
  assert.deepEqual(credentials, { accessKey: 'a', secretKey: 's' })
  assert.deepEqual([endpoint, usesPathStyle], ['http://127.0.0.1:9000', true])
  // As AWS does it.
  const { credentials: none, ...rest } = accessOf({ 'lake.bucket': 'b' })
  assert.equal(none, undefined)
  assert.equal(rest.endpoint, undefined)
  for (const wrong of [{ 'lake.accessKey': 'a' }, { 'lake.endpoint': '127.0.0.1:9000' }]) {
    assert.throws(() => accessOf({ ...lake, ...wrong }), { code: 'CONFIG_VALUE_INVALID' })
  }
})

test('all roles are those that can be: a lake needs a bucket', () => {
  const without = configOf({})
  assert.deepEqual([...parseRoles('all', without)], ['gateway', 'stream', 'writer', 'control'])
  assert.ok(parseRoles('all', configOf({ 'lake.bucket': 'b' })).has('lake'))
  assert.ok(parseRoles('writer, lake', without).has('lake'))
  assert.throws(() => parseRoles('pond', without), { code: 'CLI_USAGE_INVALID' })
})
