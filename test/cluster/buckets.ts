/** Buckets of the MinIO that runs, a new one for each test. */
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import type { Objects } from '../../src/objects/objects.ts'
import { createS3Objects } from '../../src/objects/s3-objects.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { accessOf } from './cluster.ts'

const access = accessOf('minio')
export const skip =
  access === undefined ? 'MinIO does not run: npm run -s cluster:up -- minio' : undefined
const { endpoint = '', accessKey = '', secretKey = '' } = access ?? {}
export const minio = { endpoint, accessKey, secretKey }
export const REGION = 'us-east-1'

let buckets = 0
export async function createBucket(): Promise<string> {
  const bucket = `weir-test-${process.pid}-${++buckets}`
  const admin = new S3Client({
    ...{ endpoint, region: REGION, forcePathStyle: true },
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  })
  await admin.send(new CreateBucketCommand({ Bucket: bucket })).finally(() => admin.destroy())
  return bucket
}

export const openBucket = (
  bucket: string,
  how: { secretKey?: string; endpoint?: string } = {},
): Objects =>
  createS3Objects({
    ...{ bucket, region: REGION, endpoint: how.endpoint ?? endpoint, random: nodeWorld.random },
    credentials: { accessKey, secretKey: how.secretKey ?? secretKey },
  })
