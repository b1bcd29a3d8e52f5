/** What the stream is told in the log beside messages: rules that change, and facts of devices. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DeviceFacts, ReadingBatch, RuleChange } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import { encodeFacts, type ControlEntry } from './control-entry.ts'
import { deviceKey, encodeRules, MessageDecoder, MessageEncoder, partitionOf } from './entries.ts'
import type { Rule } from '../pipeline/pipeline.ts'
import { batchOf, EXAMPLE, MESSAGE_TYPE } from './message-fixture.ts'

const LIMITS = { seriesMax: 1000, textsMax: 1000 }
const TIME_US = 1_753_000_000_000_000
const RULE: Rule = {
  ...{ id: 'hot', version: 2, type: 'pump', deviceIds: undefined, tags: { line: 'a' } },
  ...{ on: 'readings', when: 'temperature > 80', clear: undefined, windowMs: 0, isEarly: false },
  variables: [
    ...[{ of: 'latest', label: 't', metric: 't', kind: 'number', unit: '' } as const],
    ...[{ of: 'device', label: 'x', field: 'tag', tag: 'x', kind: 'text' } as const],
  ],
  program: {
    ...{ instructions: [['metric', 0], ['constant', 80], ['greater']], texts: [] },
    ...{ stackDepthMax: 2, guards: [], threshold: undefined },
  },
  ...{ silentUs: 0, forUs: 0, keepUs: 0, repeat: undefined, schedule: undefined },
  ...{ severity: 'critical', notify: ['someone'], summary: undefined, budget: undefined },
}
const text = fc.string({ unit: 'grapheme', maxLength: 12 })
const some = fc.option(text, { nil: undefined })
const ruleName = fc.record({ id: text, version: fc.nat() })
const anyFacts = fc.record({
  ...{ tenant: text, deviceType: text, location: some, parent: some },
  deviceId: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
  tags: fc.dictionary(text, text, { maxKeys: 3, noNullPrototype: true }),
})
const anyChange: fc.Arbitrary<RuleChange> = fc.oneof(
  ruleName.map((name) => ({ put: { ...RULE, ...name } })),
  fc.record({ remove: ruleName }),
  fc.record({ retain: fc.array(ruleName, { maxLength: 3 }) }),
)
const anyTold: fc.Arbitrary<ControlEntry> = fc.oneof(
  fc.record({ device: anyFacts }),
  fc.record({ rules: fc.array(anyChange, { maxLength: 4 }) }),
)
const encode = (told: ControlEntry): Uint8Array =>
  'rules' in told ? encodeRules(told.rules, TIME_US) : encodeFacts(told.device, TIME_US)

function begun(): MessageDecoder {
  const decoder = new MessageDecoder(LIMITS)
  decoder.begin(0)
  return decoder
}

const isMalformed = (error: unknown): boolean =>
  error instanceof WeirError && error.code === 'ENTRY_MALFORMED'

/** As JSON has it: without what is undefined. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test('E5 property: what is told is read as it was, and others’ Avro has it in a message of nobody', () => {
  fc.assert(
    fc.property(anyTold, (told) => {
      const value = encode(told)
      assert.deepEqual(plain(begun().add(value)), plain(told))
      const record = MESSAGE_TYPE.fromBuffer(Buffer.from(value)) as Record<string, unknown>
      assert.deepEqual([record['device'], record['event_us']], ['', TIME_US])
      assert.deepEqual(Object.keys(record['numbers'] as object), [])
    }),
  )
})

test('E5 it is defined in the next batch, and devices get the numbers that their messages have', () => {
  const decoder = begun()
  const facts = { tenant: 'default', deviceId: EXAMPLE.deviceId, deviceType: 'pump' }
  const more = { location: 'hall', tags: { line: 'a' }, parent: undefined }
  const rules = [{ put: RULE }, { remove: { id: 'cold', version: 3 } }]
  decoder.define({ device: { ...facts, deviceId: 'other', ...more } })
  decoder.define({ device: { ...facts, ...more } })
  decoder.define({ rules: rules.slice(0, 1) })
  decoder.define({ rules: rules.slice(1) })
  for (const { value } of new MessageEncoder({ partitions: 1 }).encode(batchOf([EXAMPLE])))
    decoder.add(value)
  const batch = decoder.take()
  assert.equal(batch.device[0], 1)
  assert.deepEqual(batch.definitions!.devices, [
    { device: 0, ...facts, deviceId: 'other', ...more },
    { device: 1, ...facts, ...more },
  ])
  assert.deepEqual(batch.definitions!.rules, rules)
  assert.equal(decoder.take().definitions, undefined)
})

test('a device that was told of and sent nothing keeps its number over a restart', () => {
  const before = begun()
  const device = { tenant: 't', deviceType: 'pump', location: 'x', tags: {}, parent: undefined }
  before.define({ device: { ...device, deviceId: 'silent' } })
  const after = begun()
  after.restore(before.take().definitions!)
  after.define({ device: { ...device, deviceId: 'new' } })
  after.define({ device: { ...device, deviceId: 'silent' } })
  const numbers = after.take().definitions!.devices!.map((one) => [one.deviceId, one.device])
  assert.deepEqual(numbers, [
    ['new', 1],
    ['silent', 0],
  ])
})

test('facts stand before the messages of their frame, in the partition of their device; rules in all', () => {
  const partitions = 5
  const devices: DeviceFacts[] = ['a', 'b'].map((deviceId, device) => ({
    ...{ device, tenant: 'default', deviceId, deviceType: 'pump' },
    ...{ location: 'hall', tags: {}, parent: undefined },
  }))
  const rules = [{ put: RULE }]
  const messages = batchOf([{ ...EXAMPLE, deviceId: 'b' }])
  const batch: ReadingBatch = {
    ...messages,
    definitions: { ...messages.definitions!, devices, rules },
  }
  const entries = new MessageEncoder({ partitions }).encode(batch)
  assert.equal(entries.length, partitions + 2 + 1)
  const decoder = begun()
  const told = entries.slice(0, -1).map(({ value }) => decoder.add(value))
  assert.deepEqual(
    plain(told.slice(0, partitions)),
    Array.from({ length: partitions }, () => plain({ rules })),
  )
  assert.deepEqual(
    entries.slice(0, partitions).map(({ partition, key }) => [partition, key]),
    Array.from({ length: partitions }, (_, at) => [at, undefined]),
  )
  for (const [at, { tenant, deviceId }] of devices.entries()) {
    const { key, partition } = entries[partitions + at]!
    assert.deepEqual(key, deviceKey(tenant, deviceId))
    assert.equal(partition, partitionOf(deviceKey(tenant, deviceId), partitions))
    assert.equal((told[partitions + at] as { device: DeviceFacts }).device.deviceId, deviceId)
  }
  // A frame without messages tells the time beside.
  const empty = { ...batch, messageCount: 0, readingCount: 0 }
  const ticked = new MessageEncoder({ partitions }).encode(empty)
  assert.equal(ticked.length, partitions + 2 + partitions)
  assert.equal(decoder.add(ticked.at(-1)!.value), EXAMPLE.ingestUs)
})

const nobody = { tenant: '', device: '', device_type: '', event_us: 7, ingest_us: 7, flags: 0 }
const empty = { identity: Buffer.alloc(0), numbers: {}, booleans: {}, texts: {} }
const entryOf = (dimensions: Record<string, string>): Uint8Array =>
  MESSAGE_TYPE.toBuffer({ ...nobody, ...empty, dimensions })

test('a tick may have dimensions of others', () => {
  assert.equal(begun().add(entryOf({})), 7)
  assert.equal(begun().add(entryOf({ site: 'north', rules: '[]' })), 7)
})

test('E4 what is told badly is refused, and nothing of it stays', () => {
  const facts = { tenant: 't', deviceId: 'd', deviceType: '', tags: {} }
  const good = { put: RULE }
  const name = { id: 'a', version: 1 }
  const bad: Record<string, string>[] = [
    { 'weir.rules': '[' },
    { 'weir.rules': '{}' },
    { 'weir.rules': 'null' },
    { 'weir.rules': '[]', 'weir.device': JSON.stringify(facts) },
    ...[
      [null],
      [good, {}],
      [good, { put: name }],
      [good, { put: { ...good.put, program: {} } }],
      [good, { ...good, remove: name }],
      [good, { remove: { id: 'a' } }],
      [good, { remove: { id: 1, version: 1 } }],
      [good, { remove: { id: 'a', version: 1.5 } }],
      [good, { retain: [{ id: 'a' }] }],
      [good, { remove: 'a' }],
    ].map((changes) => ({ 'weir.rules': JSON.stringify(changes) })),
    ...[
      null,
      [],
      {},
      { ...facts, deviceId: '' },
      { ...facts, tenant: 1 },
      { ...facts, tags: { a: 1 } },
      { ...facts, tags: [] },
      { ...facts, location: null },
      { ...facts, parent: 5 },
    ].map((value) => ({ 'weir.device': JSON.stringify(value) })),
  ]
  for (const dimensions of bad) {
    const decoder = begun()
    assert.throws(() => decoder.add(entryOf(dimensions)), isMalformed, JSON.stringify(dimensions))
    assert.ok(!decoder.isDefining)
  }
})

test('E4 property: of damage nothing stays, or it is something that can be told', () => {
  let refused = 0
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1 })
  fc.assert(
    fc.property(anyTold, damage, (told, bytes) => {
      const value = Buffer.from(encode(told))
      for (const [at, byte] of bytes) value[at % value.length] = byte
      const decoder = begun()
      try {
        const read = decoder.add(value)
        if (typeof read !== 'object') return
        assert.deepEqual(plain(begun().add(encode(read))), plain(read))
      } catch (error) {
        assert.ok(isMalformed(error), String(error))
        assert.ok(!decoder.isDefining)
        refused++
      }
    }),
    { numRuns: 2000 },
  )
  assert.ok(refused > 500, `${refused} refused`)
})
