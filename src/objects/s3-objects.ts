/**
 * Objects of a bucket of any service that speaks S3. Every call is tried a few times within its
 * time-out. Large objects go up in parts, and appear only when all of them are there; parts of a
 * process that ended stay invisible until the bucket's own rule for incomplete uploads takes them.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { WeirError } from '../errors/errors.ts'
import type { Random } from '../world/world.ts'
import { checkKey, LIST_LIMIT_MAX, type Objects } from './objects.ts'
import type { ByteRange, ListedObject } from './objects.ts'
import { S3Archive } from './s3-archive.ts'
import { s3Error, statusOf, wasTriedAgain } from './s3-errors.ts'

const ATTEMPTS_MAX = 3
const CONNECT_TIMEOUT_MS = 5000
/** Of one try. A part of 8 MiB takes so long at 0.3 MB/s. */
const REQUEST_TIMEOUT_MS = 30_000
/** Of all tries of a call together, and of reading an answer. */
const CALL_TIMEOUT_MS = 90_000
/** S3's parts are of 5 MiB at least, and at most 10,000: enough for 78 GiB. */
const PART_BYTES = 8 << 20
const PARTS_AT_ONCE = 4
/** Which put an object is of, so that one that was tried again knows its own first try. */
const PUT_MARK = 'weir-put'

export interface S3Access {
  bucket: string
  /** Of another service than AWS: `http://127.0.0.1:9000`. */
  endpoint?: string | undefined
  region: string
  /** The bucket stands in the path and not in the host's name; what is not AWS mostly wants it. */
  usesPathStyle?: boolean
  /** Without: from the environment, the user's files or the machine's role, as AWS does. */
  credentials?: { accessKey: string; secretKey: string } | undefined
  /** Encrypted by the service, with its own key or a named one of its key management. */
  encryption?: { kind: 'AES256' | 'aws:kms'; keyId?: string } | undefined
  random: Random
}

/** Connects with the first call. */
export function createS3Objects(access: S3Access): Objects {
  return new S3Objects(access)
}

interface Destination {
  Bucket: string
  Key: string
  Metadata: Record<string, string>
  ServerSideEncryption?: 'AES256' | 'aws:kms'
  SSEKMSKeyId?: string
}

interface Conditions {
  IfNoneMatch?: '*'
}

class S3Objects implements Objects {
  readonly #client: S3Client
  readonly #bucket: string
  readonly #encryption: S3Access['encryption']
  readonly #random: Random
  readonly #secrets: readonly string[]
  readonly archive: S3Archive

  constructor(access: S3Access) {
    const { credentials, endpoint } = access
    this.#bucket = access.bucket
    this.#encryption = access.encryption
    this.#random = access.random
    this.#secrets = credentials === undefined ? [] : Object.values(credentials)
    this.#client = new S3Client({
      region: access.region,
      forcePathStyle: access.usesPathStyle ?? endpoint !== undefined,
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === undefined
        ? {}
        : {
            credentials: {
              accessKeyId: credentials.accessKey,
              secretAccessKey: credentials.secretKey,
            },
          }),
      maxAttempts: ATTEMPTS_MAX,
      requestHandler: {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        throwOnRequestTimeout: true,
      },
    })
    const { bucket } = access
    this.archive = new S3Archive({ client: this.#client, bucket, secrets: this.#secrets, limits })
  }

  async put(key: string, bytes: Uint8Array, how: { ifAbsent?: boolean } = {}): Promise<void> {
    checkKey(key)
    const mark = Buffer.from(this.#random.bytes(12)).toString('base64url')
    const to: Destination = {
      ...{ Bucket: this.#bucket, Key: key, Metadata: { [PUT_MARK]: mark } },
      ...(this.#encryption === undefined ? {} : { ServerSideEncryption: this.#encryption.kind }),
      ...(this.#encryption?.keyId === undefined ? {} : { SSEKMSKeyId: this.#encryption.keyId }),
    }
    const conditions: Conditions = how.ifAbsent === true ? { IfNoneMatch: '*' } : {}
    try {
      if (bytes.length > PART_BYTES) await this.#putParts(to, bytes, conditions)
      else
        await this.#client.send(
          new PutObjectCommand({ ...to, ...conditions, Body: bytes }),
          limits(),
        )
    } catch (error) {
      // An answer that was lost makes the next try fail: on the object that the first one put.
      const isOurs = wasTriedAgain(error) && (await this.#markOf(key)) === mark
      if (!isOurs) throw s3Error(error, key, this.#secrets)
    }
  }

  async #putParts(to: Destination, bytes: Uint8Array, conditions: Conditions): Promise<void> {
    const { Bucket, Key } = to
    const { UploadId } = await this.#client.send(new CreateMultipartUploadCommand(to), limits())
    const upload = { Bucket, Key, UploadId }
    const parts: { PartNumber: number; ETag: string | undefined }[] = []
    const count = Math.ceil(bytes.length / PART_BYTES)
    let next = 0
    const putNext = async (): Promise<void> => {
      while (next < count) {
        const at = next++
        const Body = bytes.subarray(at * PART_BYTES, (at + 1) * PART_BYTES)
        const part = new UploadPartCommand({ ...upload, PartNumber: at + 1, Body })
        const { ETag } = await this.#client.send(part, limits())
        parts[at] = { PartNumber: at + 1, ETag }
      }
    }
    try {
      const lanes = Array.from({ length: PARTS_AT_ONCE }, putNext)
      // All of them end before the upload is given up.
      const failed = (await Promise.allSettled(lanes)).find(({ status }) => status === 'rejected')
      if (failed?.status === 'rejected') throw failed.reason
      await this.#client.send(
        new CompleteMultipartUploadCommand({
          ...{ ...upload, ...conditions },
          MultipartUpload: { Parts: parts },
        }),
        limits(),
      )
    } catch (error) {
      await this.#client
        .send(new AbortMultipartUploadCommand(upload), limits())
        .catch(() => undefined)
      throw error
    }
  }

  /** Of the object that is there now. */
  async #markOf(key: string): Promise<string | undefined> {
    const head = new HeadObjectCommand({ Bucket: this.#bucket, Key: key })
    const found = await this.#client.send(head, limits()).catch(() => undefined)
    return found?.Metadata?.[PUT_MARK]
  }

  async get(key: string, range?: ByteRange): Promise<Uint8Array> {
    checkKey(key)
    if (range !== undefined && range.to <= range.from) return this.#nothingOf(key)
    const what = {
      ...{ Bucket: this.#bucket, Key: key },
      ...(range === undefined ? {} : { Range: `bytes=${range.from}-${range.to - 1}` }),
    }
    const { abortSignal } = limits()
    try {
      const { Body } = await this.#client.send(new GetObjectCommand(what), { abortSignal })
      const stop = (): unknown => (Body as { destroy?: () => unknown } | undefined)?.destroy?.()
      abortSignal.addEventListener('abort', stop)
      try {
        return (await Body?.transformToByteArray()) ?? new Uint8Array(0)
      } finally {
        abortSignal.removeEventListener('abort', stop)
      }
    } catch (error) {
      if (statusOf(error) === RANGE_NOT_SATISFIABLE) return new Uint8Array(0)
      throw s3Error(error, key, this.#secrets)
    }
  }

  async #nothingOf(key: string): Promise<Uint8Array> {
    if ((await this.head(key)) === undefined) throw new WeirError('OBJECT_MISSING', key)
    return new Uint8Array(0)
  }

  async head(key: string): Promise<{ bytes: number } | undefined> {
    checkKey(key)
    try {
      const head = new HeadObjectCommand({ Bucket: this.#bucket, Key: key })
      return { bytes: (await this.#client.send(head, limits())).ContentLength ?? 0 }
    } catch (error) {
      const named = s3Error(error, key, this.#secrets)
      if (named.code === 'OBJECT_MISSING') return undefined
      throw named
    }
  }

  async list(
    prefix: string,
    { after, limit }: { after?: string; limit: number },
  ): Promise<ListedObject[]> {
    const found: ListedObject[] = []
    try {
      for (let from = after; found.length < limit;) {
        const page = await this.#client.send(
          new ListObjectsV2Command({
            ...{ Bucket: this.#bucket, Prefix: prefix },
            MaxKeys: Math.min(limit - found.length, LIST_LIMIT_MAX),
            ...(from === undefined ? {} : { StartAfter: from }),
          }),
          limits(),
        )
        for (const { Key = '', Size = 0 } of page.Contents ?? [])
          found.push({ key: Key, bytes: Size })
        // A page may be shorter than asked for and yet not the last.
        if (page.IsTruncated !== true) break
        from = found.at(-1)?.key
      }
    } catch (error) {
      throw s3Error(error, prefix, this.#secrets)
    }
    return found
  }

  async delete(key: string): Promise<void> {
    checkKey(key)
    try {
      const gone = new DeleteObjectCommand({ Bucket: this.#bucket, Key: key })
      await this.#client.send(gone, limits())
    } catch (error) {
      throw s3Error(error, key, this.#secrets)
    }
  }

  close(): void {
    this.#client.destroy()
  }
}

const RANGE_NOT_SATISFIABLE = 416

const limits = (): { abortSignal: AbortSignal } => ({
  abortSignal: AbortSignal.timeout(CALL_TIMEOUT_MS),
})
