/** Request bodies: their compression and their media type. */
import { gunzip } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'

type Bytes = Uint8Array<ArrayBuffer>

/**
 * Undoes `Content-Encoding`, up to `bytesMax` of plain bytes: a few kilobytes can inflate to
 * gigabytes, so the inflater itself stops there. Throws GATEWAY_BODY_TOO_LARGE, API_BODY_INVALID
 * and API_MEDIA_TYPE_UNSUPPORTED.
 */
export async function inflateBody(
  bytes: Bytes,
  encoding: string | undefined,
  bytesMax: number,
): Promise<Bytes> {
  const kind = encoding?.trim().toLowerCase() ?? 'identity'
  if (kind === 'identity' || kind === '') return bytes
  if (kind !== 'gzip' && kind !== 'x-gzip') {
    throw new WeirError(
      'API_MEDIA_TYPE_UNSUPPORTED',
      `Content-Encoding: ${kind}; only gzip is read`,
    )
  }
  return new Promise((resolve, reject) => {
    gunzip(bytes, { maxOutputLength: bytesMax }, (error, plain) => {
      if (error === null) resolve(tightly(plain))
      else reject(inflateProblem(error, bytesMax))
    })
  })
}

function inflateProblem(error: NodeJS.ErrnoException, bytesMax: number): WeirError {
  if (error.code === 'ERR_BUFFER_TOO_LARGE') {
    return new WeirError(
      'GATEWAY_BODY_TOO_LARGE',
      `the body inflates to more than ${bytesMax} bytes`,
    )
  }
  return new WeirError('API_BODY_INVALID', `the body is not valid gzip: ${error.message}`)
}

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
