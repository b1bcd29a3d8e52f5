/** Request bodies: how they are read, their compression and their media type. */
import type { Readable } from 'node:stream'
import { gunzip } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import type { BodyShare } from './body-budget.ts'

type Bytes = Uint8Array<ArrayBuffer>

/** What a body may take. */
export interface BodyRoom {
  bytesMax: number
  share: BodyShare
}

/**
 * Collects a body as it comes: what is announced takes no memory. Throws GATEWAY_BODY_TOO_LARGE
 * (before the first byte, when the length says so) and GATEWAY_OVERLOADED.
 */
export function readBody(
  stream: Readable,
  announced: string | undefined,
  { bytesMax, share }: BodyRoom,
): Promise<Bytes> {
  const tooLarge = () => new WeirError('GATEWAY_BODY_TOO_LARGE', `at most ${bytesMax} bytes`)
  if (announced !== undefined && Number(announced) > bytesMax) return Promise.reject(tooLarge())
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    let bytes = 0
    const take = (chunk: Uint8Array): void => {
      bytes += chunk.length
      try {
        if (bytes > bytesMax) throw tooLarge()
        share.grow(chunk.length)
        chunks.push(chunk)
      } catch (error) {
        stream.off('data', take)
        reject(error)
      }
    }
    stream.on('data', take)
    stream.once('end', () => resolve(Buffer.concat(chunks)))
    stream.once('error', reject)
    stream.once('close', () => reject(new WeirError('API_BODY_INVALID', 'the body was cut short')))
  })
}

/**
 * Undoes `Content-Encoding`, up to `bytesMax` of plain bytes: a few kilobytes can inflate to
 * gigabytes, so the inflater itself stops there. Throws GATEWAY_BODY_TOO_LARGE, API_BODY_INVALID,
 * API_MEDIA_TYPE_UNSUPPORTED and GATEWAY_OVERLOADED.
 */
export async function inflateBody(
  bytes: Bytes,
  encoding: string | undefined,
  { bytesMax, share }: BodyRoom,
): Promise<Bytes> {
  const kind = encoding?.trim().toLowerCase() ?? 'identity'
  if (kind === 'identity' || kind === '') return bytes
  if (kind !== 'gzip' && kind !== 'x-gzip') {
    throw new WeirError(
      'API_MEDIA_TYPE_UNSUPPORTED',
      `Content-Encoding: ${kind}; only gzip is read`,
    )
  }
  // RFC 1952 ends with the length, of which the share is asked. It may lie, or be that of the last
  // of several members; then there is a second try, for which the share must have all of it.
  const isGzip = bytes.length >= 18 && bytes[0] === 0x1f && bytes[1] === 0x8b
  const claimed = isGzip ? Buffer.from(bytes.subarray(-4)).readUInt32LE(0) : 0
  if (claimed > bytesMax) throw inflatedTooLarge(bytesMax)
  share.grow(claimed)
  try {
    return await inflate(bytes, Math.max(1, claimed))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== TOO_LARGE) throw inflateProblem(error)
  }
  share.grow(bytesMax - claimed)
  try {
    return await inflate(bytes, bytesMax)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === TOO_LARGE) throw inflatedTooLarge(bytesMax)
    throw inflateProblem(error)
  }
}

/** Node's, when `maxOutputLength` is exceeded. */
const TOO_LARGE = 'ERR_BUFFER_TOO_LARGE'

const inflate = (bytes: Bytes, maxOutputLength: number): Promise<Bytes> =>
  new Promise((resolve, reject) => {
    gunzip(bytes, { maxOutputLength }, (error, plain) => {
      if (error === null) resolve(tightly(plain))
      else reject(error)
    })
  })

const inflatedTooLarge = (bytesMax: number): WeirError =>
  new WeirError('GATEWAY_BODY_TOO_LARGE', `the body inflates to more than ${bytesMax} bytes`)

const inflateProblem = (cause: unknown): WeirError =>
  new WeirError('API_BODY_INVALID', `the body is not valid gzip: ${(cause as Error).message}`, {
    cause,
  })

/** Small buffers share Node's pool; a copy of its own may be transferred to another thread. */
export function tightly(bytes: Bytes): Bytes {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes)
}

/**
 * Throws API_MEDIA_TYPE_UNSUPPORTED. A body without Content-Type is taken for what the route wants.
 */
export function checkMediaType(header: string | undefined, allowed: readonly string[]): void {
  const mediaType = header?.split(';')[0]?.trim().toLowerCase()
  if (mediaType === undefined || allowed.includes('*/*') || allowed.includes(mediaType)) return
  throw new WeirError(
    'API_MEDIA_TYPE_UNSUPPORTED',
    `Content-Type: ${mediaType}; send ${allowed.join(' or ')}`,
  )
}
