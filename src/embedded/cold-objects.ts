/** Where readings go that are no longer warm: a bucket, or a folder beside the segments. */
import type { Config } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import { openFolderObjects } from '../objects/folder-objects.ts'
import type { Objects } from '../objects/objects.ts'
import type { World } from '../world/world.ts'
import { bucketAccess } from '../objects/s3-settings.ts'

/** Errors: CONFIG_VALUE_INVALID, OBJECTS_UNAVAILABLE (a folder that cannot be made). */
export async function openColdObjects(
  { cold }: Config,
  folder: string,
  { disk, random }: Pick<World, 'disk' | 'random'>,
): Promise<Objects> {
  const { bucket, encryption, kmsKey } = cold
  if (bucket === '') return openFolderObjects({ folder: `${folder}/cold`, disk, random })
  if (encryption !== 'none' && encryption !== 'AES256' && encryption !== 'aws:kms') {
    const detail = `cold.encryption: ${encryption} is none of none, AES256 and aws:kms`
    throw new WeirError('CONFIG_VALUE_INVALID', detail)
  }
  // The SDK takes 100 ms to load, which only those wait for who have a bucket.
  const { createS3Objects } = await import('../objects/s3-objects.ts')
  return createS3Objects({
    ...bucketAccess('cold', cold, random),
    ...(encryption !== 'none' && {
      encryption: { kind: encryption, ...(kmsKey !== '' && { keyId: kmsKey }) },
    }),
  })
}
