import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '../config/config.ts'
import { nodeWorld } from '../world/node-world.ts'
import { engineAccess, lakePartitions, s3Access } from './accesses.ts'
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

test('how the engine over the lake is reached', () => {
  const lake = { 'lake.bucket': 'b', 'engine.table': 'hive.iot.readings' }
  const trino = { ...lake, 'engine.kind': 'trino', 'engine.url': 'https://trino:8443/' }
  const accessOf = (flags: Record<string, unknown>) => engineAccess(configOf(flags))
  assert.equal(accessOf({}), undefined)
  assert.deepEqual(accessOf({ ...trino, 'engine.password': 'p' }), {
    ...{ kind: 'trino', table: 'hive.iot.readings', location: 's3://b' },
    access: { url: 'https://trino:8443', user: 'weir', password: 'p' },
  })
  const athena = { ...lake, 'engine.kind': 'athena', 'engine.location': 's3://other/' }
  assert.deepEqual(accessOf({ ...athena, 'engine.accessKey': 'a', 'engine.secretKey': 's' }), {
    ...{ kind: 'athena', table: 'hive.iot.readings', location: 's3://other' },
    access: {
      ...{ region: 'us-east-1', workgroup: 'primary' },
      credentials: { accessKey: 'a', secretKey: 's' },
    },
  })
  const stores = ['0-0x7fffffff=postgresql://a/b', '0x80000000-0xffffffff=postgresql://c/d']
  for (const wrong of [
    { 'engine.kind': 'spark' },
    { 'engine.table': '' },
    { 'engine.table': 'a; DROP TABLE b' },
    { 'lake.bucket': '' },
    { 'engine.url': '' },
    { 'engine.url': 'trino:8080' },
    { 'engine.url': 'https://user:secret@trino:8443' },
    { 'engine.url': 'https://trino:8443/v1/statement' },
    { 'engine.url': 'http://trino:8080', 'engine.token': 't' },
    { 'engine.password': 'secret', 'engine.token': 't' },
    { 'postgres.stores': stores },
  ]) {
    assert.throws(
      () => accessOf({ ...trino, ...wrong }),
      (error: Error & { code: string }) => {
        assert.equal(error.code, 'CONFIG_VALUE_INVALID', JSON.stringify(wrong))
        assert.doesNotMatch(error.message, /secret/)
        return true
      },
    )
  }
  assert.throws(() => accessOf({ ...athena, 'engine.accessKey': 'a' }), {
    ...{ code: 'CONFIG_VALUE_INVALID', message: /both or neither/ },
  })
})

test('all roles are those that can be: a lake needs a bucket', () => {
  const without = configOf({})
  assert.deepEqual([...parseRoles('all', without)], ['gateway', 'stream', 'writer', 'control'])
  assert.ok(parseRoles('all', configOf({ 'lake.bucket': 'b' })).has('lake'))
  assert.ok(parseRoles('writer, lake', without).has('lake'))
  assert.throws(() => parseRoles('pond', without), { code: 'CLI_USAGE_INVALID' })
})
