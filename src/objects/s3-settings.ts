/** From settings, as people write them, to the access of a bucket. */
import { WeirError } from '../errors/errors.ts'
import type { Random } from '../world/world.ts'
import type { S3Access } from './s3-objects.ts'

export interface BucketSettings {
  bucket: string
  endpoint: string
  region: string
  pathStyle: boolean
  accessKey: string
  secretKey: string
}

/** `section` is the settings', for errors: CONFIG_VALUE_INVALID. */
export function bucketAccess(section: string, settings: BucketSettings, random: Random): S3Access {
  const { bucket, endpoint, region, pathStyle, accessKey, secretKey } = settings
  const wrong = (detail: string): WeirError => new WeirError('CONFIG_VALUE_INVALID', detail)
  if ((accessKey === '') !== (secretKey === '')) {
    throw wrong(`${section}.accessKey and ${section}.secretKey: both or neither`)
  }
  if (endpoint !== '' && !/^https?:$/.test(URL.parse(endpoint)?.protocol ?? '')) {
    throw wrong(`${section}.endpoint: ${endpoint} is no address as http://host:9000`)
  }
  return {
    ...{ bucket, region, usesPathStyle: pathStyle, random },
    ...(endpoint !== '' && { endpoint }),
    ...(accessKey !== '' && { credentials: { accessKey, secretKey } }),
  }
}
