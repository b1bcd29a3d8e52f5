/** The stream's checkpoints: from a database before there were generations, and divided. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { DeviceFacts, SeriesDefinition } from '../../src/batch/batch.ts'
import type { StreamCheckpoint } from '../../src/postgres/stream-state.ts'
import { StreamState } from '../../src/postgres/stream-state.ts'
import { ask, clean, newSchema, skip, url } from './postgres-fixture.ts'

after(clean)

const LEASE = 'stream'

const open = async (schema: string) => {
  const state = await StreamState.open({ url, schema })
  after(() => state.close())
  return { state, lease: (await state.claim(LEASE))! }
}

const series: SeriesDefinition[] = ['one', 'other'].map((deviceId, at) => ({
  ...{ series: at, device: at, tenant: 'default', deviceId, deviceType: 'generic' },
  ...{ metric: 'temperature', kind: 'number', dimensions: [] },
}))

const facts = (deviceId: string, device: number, line: string): DeviceFacts => ({
  ...{ device, tenant: 'default', deviceId, deviceType: 'generic' },
  ...{ location: 'hall', tags: { line }, parent: 'edge' },
})

const checkpoint = (partition: number): StreamCheckpoint => ({
  ...{ partition, nextOffset: 7 + partition, clockUs: 1.5e15 },
  parts: [{ name: 'clock', bytes: Buffer.from([partition]) }],
  definitions: { series, texts: [[0, 'ok']], devices: [] },
})

/** As version 2 made them. */
const OLD_TABLES = `
  CREATE TABLE storage_version (version INTEGER NOT NULL);
  INSERT INTO storage_version VALUES (2);
  CREATE TABLE coverage (
    partition INTEGER PRIMARY KEY, from_ms BIGINT NOT NULL, watermark_ms BIGINT NOT NULL
  );
  CREATE TABLE alert (id TEXT COLLATE "C" PRIMARY KEY);
  CREATE TABLE lease (name TEXT COLLATE "C" PRIMARY KEY, epoch BIGINT NOT NULL);
  CREATE TABLE stream_progress (
    partition INTEGER PRIMARY KEY, next_offset BIGINT NOT NULL, clock_us DOUBLE PRECISION NOT NULL
  );
  CREATE TABLE stream_part (
    partition INTEGER, name TEXT COLLATE "C", bytes BYTEA NOT NULL, PRIMARY KEY (partition, name)
  );
  CREATE TABLE stream_definition (
    partition INTEGER, kind TEXT COLLATE "C", number BIGINT, definition TEXT NOT NULL,
    PRIMARY KEY (partition, kind, number)
  );
  INSERT INTO coverage VALUES (0, 100, 200);
  INSERT INTO stream_progress VALUES (0, 7, 1.5e15);
  INSERT INTO stream_part VALUES (0, 'clock', '\\x00');
  INSERT INTO stream_definition VALUES (0, 's', 0, '${JSON.stringify(series[0])}'),
    (0, 's', 1, '${JSON.stringify(series[1])}'), (0, 't', 0, '"ok"');
`

test(
  'checkpoints and coverage from before generations are those of the first',
  { skip },
  async () => {
    const schema = newSchema()
    await ask(`CREATE SCHEMA ${schema}; SET search_path = ${schema}; ${OLD_TABLES}`)
    const { state, lease } = await open(schema)
    assert.deepEqual(await state.load({ generation: 1, partition: 0 }), checkpoint(0))
    assert.deepEqual([...(await state.counts())], [[1, 1]])
    await state.save(lease, 1, { ...checkpoint(0), nextOffset: 9 })
    assert.equal((await state.load({ generation: 1, partition: 0 }))?.nextOffset, 9)
    assert.deepEqual(await ask(`SELECT * FROM ${schema}.coverage`), [
      { partition: 0, from_ms: '100', watermark_ms: '200', generation: 1, partitions: null },
    ])
  },
)

test(
  'a checkpoint is divided once: all state, the definitions of its own devices',
  { skip },
  async () => {
    const { state, lease } = await open(newSchema())
    const { series: all, texts } = checkpoint(0).definitions
    const devices = [facts('one', 0, 'a'), facts('other', 1, 'a')]
    await state.save(lease, 1, { ...checkpoint(0), definitions: { series: all, texts, devices } })
    const divide = (): Promise<void> =>
      state.divide(lease, {
        from: { generation: 1, partition: 0 },
        to: { generation: 2, partition: 2 },
        isOwn: ({ deviceId }) => deviceId === 'other',
      })
    await divide()
    const expected = {
      ...checkpoint(0),
      ...{ partition: 2, nextOffset: 0 },
      definitions: { series: [series[1]], texts: [[0, 'ok']], devices: [facts('other', 1, 'a')] },
    }
    assert.deepEqual(await state.load({ generation: 2, partition: 2 }), expected)
    // What came later stays.
    await state.save(lease, 2, { ...checkpoint(2), nextOffset: 5 })
    await divide()
    assert.equal((await state.load({ generation: 2, partition: 2 }))?.nextOffset, 5)
    await state.forgetBefore(lease, 2)
    assert.equal(await state.load({ generation: 1, partition: 0 }), undefined)
    assert.deepEqual([...(await state.counts())], [[2, 1]])
  },
)

test('of facts of a device that were saved again, the last count', { skip }, async () => {
  const { state, lease } = await open(newSchema())
  const save = (...devices: DeviceFacts[]): Promise<void> =>
    state.save(lease, 1, { ...checkpoint(0), definitions: { series: [], texts: [], devices } })
  await save(facts('one', 0, 'a'), facts('other', 1, 'a'), facts('one', 0, 'b'))
  await save(facts('other', 1, 'c'))
  const { definitions } = (await state.load({ generation: 1, partition: 0 }))!
  assert.deepEqual(definitions.devices, [facts('one', 0, 'b'), facts('other', 1, 'c')])
})
