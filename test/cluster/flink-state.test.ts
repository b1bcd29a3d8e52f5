/** The state of jobs in a bucket is found as in a folder, of which `src/flink/flink.test.ts` is. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newestState, openStateFolder, writeRecord } from '../../src/flink/state-folder.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { createBucket, openBucket, skip } from './buckets.ts'

const JOB = '0123456789abcdef'.repeat(2)

test('F2 the newest checkpoint in a bucket is found', { skip: skip ?? false }, async () => {
  const bucket = await createBucket()
  const at = openStateFolder(`s3://${bucket}/weir/state`, {
    disk: nodeWorld.disk,
    bucketOf: (name) => openBucket(name),
  })
  assert.equal(await newestState(at, at), undefined)
  const record = { job: JOB, submittedMs: 1, parameters: { 'weir.layout': '1' } }
  await writeRecord(at, record)
  for (const path of [`${JOB}/chk-2/_metadata`, `${JOB}/chk-10/_metadata`, `${JOB}/chk-11/a`])
    await at.write(path, new Uint8Array(1))
  const found = await newestState(at, at)
  assert.deepEqual(found, { of: 'checkpoints', path: `${JOB}/chk-10`, record })
})
