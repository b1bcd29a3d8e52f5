/**
 * The page's files, read once at start: a path that is not in the map does not exist, so no request
 * can reach outside the folder, and serving costs no disk. Vite's build is well below a megabyte.
 */
import { createHash } from 'node:crypto'
import type { Disk } from '../world/world.ts'

export interface WebFile {
  bytes: Buffer
  mediaType: string
  cacheControl: string
  etag: string
}

/** Vite puts what it names by a hash of the content here; such a file never changes. */
const HASHED_FOLDER = '/assets/'
const FOREVER = 'public, max-age=31536000, immutable'
const REVALIDATE = 'no-cache'

const MEDIA_TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  json: 'application/json',
  svg: 'image/svg+xml',
  png: 'image/png',
  ico: 'image/x-icon',
  woff2: 'font/woff2',
  txt: 'text/plain; charset=utf-8',
  webmanifest: 'application/manifest+json',
}

/**
 * Nothing but the page's own scripts, styles and server; no frame may hold it. uPlot places its
 * parts through the style object, which `style-src 'self'` allows.
 */
export const PAGE_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; " +
    "form-action 'self'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

/** By URL path: `/index.html`, `/assets/index-3fa9.js`. Empty when the page was not built. */
export async function readWebFiles(disk: Disk, folder: string): Promise<Map<string, WebFile>> {
  const files = new Map<string, WebFile>()
  if (await disk.exists(folder)) await readFolder(disk, folder, { prefix: '/', files })
  return files
}

async function readFolder(
  disk: Disk,
  folder: string,
  into: { prefix: string; files: Map<string, WebFile> },
): Promise<void> {
  const { prefix, files } = into
  for (const name of await disk.list(folder)) {
    const path = `${folder}/${name}`
    // The disk has no stat: what cannot be listed is a file.
    const isFolder = await disk.list(path).then(Boolean, () => false)
    if (isFolder) await readFolder(disk, path, { prefix: `${prefix}${name}/`, files })
    else files.set(prefix + name, toWebFile(prefix + name, await readAll(disk, path)))
  }
}

async function readAll(disk: Disk, path: string): Promise<Buffer> {
  const file = await disk.open(path, 'read')
  try {
    const bytes = Buffer.alloc(await file.size())
    return bytes.subarray(0, await file.read(bytes, 0))
  } finally {
    await file.close()
  }
}

function toWebFile(urlPath: string, bytes: Buffer): WebFile {
  const extension = urlPath.slice(urlPath.lastIndexOf('.') + 1)
  return {
    bytes,
    mediaType: MEDIA_TYPES[extension] ?? 'application/octet-stream',
    cacheControl: urlPath.startsWith(HASHED_FOLDER) ? FOREVER : REVALIDATE,
    etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`,
  }
}
