/** Where backups are: a folder of this machine, or a bucket. */
import { isAbsolute, resolve } from 'node:path'
import { WeirError } from '../errors/errors.ts'
import { openFolderObjects } from '../objects/folder-objects.ts'
import type { Objects } from '../objects/objects.ts'
import { withPrefix } from '../objects/prefixed-objects.ts'
import type { World } from '../world/world.ts'

/** S3's own rule. */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/

/**
 * `s3://bucket/prefix`, or a path. A bucket's region, address and credentials are those of the
 * environment, as all programs of AWS have them (AWS_REGION, AWS_ENDPOINT_URL_S3, …). A service
 * that is not AWS mostly wants the bucket in the path. Errors: API_PARAMETER_INVALID.
 */
export async function openDestination(
  text: string,
  { disk, random }: Pick<World, 'disk' | 'random'>,
  env: NodeJS.ProcessEnv,
): Promise<Objects> {
  if (!text.startsWith('s3://')) {
    if (/^\w+:\/\//.test(text) || !isAbsolute(text)) {
      throw wrong(text, 'an absolute path, or s3://bucket/prefix')
    }
    return openFolderObjects({ folder: resolve(text), disk, random })
  }
  const [bucket = '', ...rest] = text.slice('s3://'.length).split('/')
  if (!BUCKET.test(bucket)) throw wrong(text, 's3://bucket/prefix')
  const { createS3Objects } = await import('../objects/s3-objects.ts')
  const endpoint = env['AWS_ENDPOINT_URL_S3'] ?? env['AWS_ENDPOINT_URL']
  const region = env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? 'us-east-1'
  const objects = createS3Objects({
    ...{ bucket, region, random, usesPathStyle: endpoint !== undefined },
    ...(endpoint !== undefined && { endpoint }),
  })
  return withPrefix(objects, rest.filter((part) => part !== '').join('/'))
}

const wrong = (text: string, expected: string): WeirError =>
  new WeirError('API_PARAMETER_INVALID', `to: found "${text}", expected ${expected}`, {
    details: { parameter: 'to' },
  })
