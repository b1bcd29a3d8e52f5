/**
 * The archive of a bucket (S3's GLACIER, a tier of MinIO): one rule of its lifecycle that is ours,
 * and objects that are asked back.
 */
import {
  DeleteBucketLifecycleCommand,
  GetBucketLifecycleConfigurationCommand,
  HeadObjectCommand,
  PutBucketLifecycleConfigurationCommand,
  RestoreObjectCommand,
  type LifecycleRule,
  type S3Client,
  type TransitionStorageClass,
} from '@aws-sdk/client-s3'
import type { ArchivedState, ArchiveRule, ObjectArchive } from './objects.ts'
import { nameOf, s3Error } from './s3-errors.ts'

/** Of our rule, by which it is found again. */
const RULE_ID = 'weir-cold'
/** Classes that must be restored before they are read. */
const FROZEN_CLASSES = ['GLACIER', 'DEEP_ARCHIVE']
/** Of a restore: within 5 to 48 hours, for the least money. */
const RETRIEVAL = 'Bulk'

export interface S3ArchiveParts {
  client: S3Client
  bucket: string
  secrets: readonly string[]
  /** Of each call. */
  limits: () => { abortSignal: AbortSignal }
}

export class S3Archive implements ObjectArchive {
  readonly #parts: S3ArchiveParts

  constructor(parts: S3ArchiveParts) {
    this.#parts = parts
  }

  async rule(prefix: string): Promise<ArchiveRule | undefined> {
    const ours = (await this.#rules()).find(({ ID }) => ID === idOf(prefix))
    if (ours?.Status !== 'Enabled') return undefined
    const transition = ours.Transitions?.[0]
    return {
      freeze:
        transition?.StorageClass === undefined
          ? undefined
          : { afterDays: transition.Days ?? 0, storageClass: transition.StorageClass },
      expireAfterDays: ours.Expiration?.Days,
    }
  }

  /** Between its two requests a rule that somebody else adds is lost: S3 has no condition there. */
  async setRule(prefix: string, { freeze, expireAfterDays }: ArchiveRule): Promise<void> {
    const others = (await this.#rules()).filter(({ ID }) => ID !== idOf(prefix))
    const ours: LifecycleRule = {
      ...{ ID: idOf(prefix), Status: 'Enabled', Filter: { Prefix: prefix } },
      ...(freeze !== undefined && {
        Transitions: [
          {
            Days: freeze.afterDays,
            StorageClass: freeze.storageClass as TransitionStorageClass,
          },
        ],
      }),
      ...(expireAfterDays !== undefined && { Expiration: { Days: expireAfterDays } }),
    }
    const isIdle = freeze === undefined && expireAfterDays === undefined
    await this.#putRules(isIdle ? others : [...others, ours])
  }

  async #putRules(Rules: LifecycleRule[]): Promise<void> {
    const { client, bucket: Bucket, limits } = this.#parts
    const LifecycleConfiguration = { Rules }
    await this.#named('lifecycle', async () => {
      if (Rules.length === 0)
        await client.send(new DeleteBucketLifecycleCommand({ Bucket }), limits())
      else
        await client.send(
          new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }),
          limits(),
        )
    })
  }

  async #rules(): Promise<LifecycleRule[]> {
    const { client, bucket, limits } = this.#parts
    const get = new GetBucketLifecycleConfigurationCommand({ Bucket: bucket })
    return this.#named('lifecycle', async () => {
      try {
        return (await client.send(get, limits())).Rules ?? []
      } catch (error) {
        if (nameOf(error) === 'NoSuchLifecycleConfiguration') return []
        throw error
      }
    })
  }

  async stateOf(key: string): Promise<ArchivedState | undefined> {
    const { client, bucket, secrets, limits } = this.#parts
    try {
      const head = new HeadObjectCommand({ Bucket: bucket, Key: key })
      const { StorageClass: kind = 'STANDARD', Restore } = await client.send(head, limits())
      if (!FROZEN_CLASSES.includes(kind)) return 'readable'
      if (Restore === undefined) return 'frozen'
      return Restore.includes('ongoing-request="true"') ? 'thawing' : 'readable'
    } catch (error) {
      const named = s3Error(error, key, secrets)
      if (named.code === 'OBJECT_MISSING') return undefined
      throw named
    }
  }

  async restore(key: string, days: number): Promise<void> {
    const { client, bucket, limits } = this.#parts
    const ask = new RestoreObjectCommand({
      ...{ Bucket: bucket, Key: key },
      RestoreRequest: { Days: days, GlacierJobParameters: { Tier: RETRIEVAL } },
    })
    await this.#named(key, async () => {
      try {
        await client.send(ask, limits())
      } catch (error) {
        if (nameOf(error) !== 'RestoreAlreadyInProgress') throw error
      }
    })
  }

  async #named<T>(what: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      throw s3Error(error, what, this.#parts.secrets)
    }
  }
}

/** One bucket may have several prefixes. */
const idOf = (prefix: string): string =>
  `${RULE_ID}-${prefix.replaceAll(/[^A-Za-z0-9]+/g, '-')}`.replace(/-$/, '').slice(0, 255)
