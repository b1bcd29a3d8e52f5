/** Where readings go that are no longer warm: a bucket, or a folder beside the segments. */
import type { Config } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import { openFolderObjects } from '../objects/folder-objects.ts'
import type { ArchiveRule, Objects } from '../objects/objects.ts'
import type { Retention } from '../pipeline/pipeline.ts'
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

const DAY_US = 86_400_000_000
/** An end in a hundred years is none. */
const FOR_EVER_DAYS = 36_500

/**
 * The rule for a bucket. It deletes nothing before Weir would: days count from when a file was put,
 * which is later than what is in it, and its series may have different ages.
 */
export function coldRule({ cold }: Config, retention: Retention): ArchiveRule {
  const { freezeAfterDays, freezeClass } = cold
  const ages = [retention, ...retention.only].map(({ coldUs }) => coldUs)
  const days = Math.ceil(Math.max(...ages) / DAY_US)
  const isKept = retention.isExportedFirst || days >= FOR_EVER_DAYS
  const isFrozen = freezeAfterDays > 0 && (isKept || freezeAfterDays < days)
  return {
    freeze: isFrozen ? { afterDays: freezeAfterDays, storageClass: freezeClass } : undefined,
    expireAfterDays: isKept ? undefined : days,
  }
}
