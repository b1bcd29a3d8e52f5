/**
 * The object store: whole files under names, of a folder or of any service that speaks S3.
 *
 * O1 put() resolves once the object is durable. Whatever happens meanwhile, the object is there
 *    whole or not at all: an object that was there before stays as it was until then.
 * O2 What was put is what get(), head() and list() show from then on; what was deleted is gone.
 * O3 list() gives keys in the order of their UTF-8 bytes, each once, `after` a key if wanted.
 * O4 delete() is idempotent.
 * O5 Of any number of put() with `ifAbsent` on one key at most one resolves; the others throw
 *    OBJECT_EXISTS. One that threw OBJECTS_UNAVAILABLE may have been the one: get() tells.
 * O6 Errors are OBJECT_KEY_INVALID, OBJECT_MISSING, OBJECT_EXISTS, OBJECT_FROZEN (it is in an
 *    archive, and must be asked back), OBJECTS_REFUSED (a setting is wrong) and OBJECTS_UNAVAILABLE
 *    (passing), and none of them holds a secret.
 *
 * A key is a path: printable parts with `/` between them, of at most 1,024 bytes together and 255
 * each, none empty, `.` or `..`. No key may be another's folder: not `a` and `a/b` at once (a
 * service may refuse the second).
 */
import { WeirError } from '../errors/errors.ts'

export { pathOf as pathOfObject } from './folder-paths.ts'

export interface Objects {
  /** Errors: O6. `bytes` must stay as they are until it resolves. */
  put(key: string, bytes: Uint8Array, how?: { ifAbsent?: boolean }): Promise<void>
  /** The bytes [from, to) of it, as many as there are. Errors: O6. */
  get(key: string, range?: ByteRange): Promise<Uint8Array>
  /** Undefined when it is not there. */
  head(key: string): Promise<{ bytes: number } | undefined>
  /** The next `limit` (1 to 1,000) objects whose keys begin with `prefix`. */
  list(prefix: string, page: { after?: string; limit: number }): Promise<ListedObject[]>
  delete(key: string): Promise<void>
  /** Undefined where none can be, as in a folder. */
  readonly archive?: ObjectArchive
  close(): void
}

/** Objects that a service archives, and deletes, by their age; and how they come back. */
export interface ObjectArchive {
  /** The rule for objects below a prefix that setRule() made; undefined: there is none. */
  rule(prefix: string): Promise<ArchiveRule | undefined>
  /** In the place of what it made before; one that does nothing goes. Others stay. Errors: O6. */
  setRule(prefix: string, rule: ArchiveRule): Promise<void>
  /** Undefined when it is not there. */
  stateOf(key: string): Promise<ArchivedState | undefined>
  /** Asks for one that is frozen to be readable for so many days. Idempotent. Errors: O6. */
  restore(key: string, days: number): Promise<void>
}

/** Days since an object was put, by the service's clock, which looks once a day or so. */
export interface ArchiveRule {
  freeze: { afterDays: number; storageClass: string } | undefined
  expireAfterDays: number | undefined
}

/** Of a thawing one it was asked, and it comes within hours. */
export type ArchivedState = 'readable' | 'frozen' | 'thawing'

/** In bytes; `to` is behind the last one. */
export interface ByteRange {
  from: number
  to: number
}

export interface ListedObject {
  key: string
  bytes: number
}

/** S3's own. */
export const LIST_LIMIT_MAX = 1000

const KEY_BYTES_MAX = 1024
/** Of file systems, on which folders and many services keep objects. */
const PART_BYTES_MAX = 255
/** No controls, halves of pairs, separators of lines, or what XML cannot carry. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Noncharacter_Code_Point}]/u

/** Throws OBJECT_KEY_INVALID. */
export function checkKey(key: string): void {
  const parts = key.split('/')
  const isRight =
    Buffer.byteLength(key) <= KEY_BYTES_MAX &&
    !UNPRINTABLE.test(key) &&
    parts.every((part) => part !== '' && part !== '.' && part !== '..') &&
    parts.every((part) => Buffer.byteLength(part) <= PART_BYTES_MAX)
  if (isRight) return
  throw new WeirError('OBJECT_KEY_INVALID', `"${key.slice(0, 100).split(UNPRINTABLE).join('�')}"`)
}

/** All objects whose keys begin with `prefix`, page by page. */
export async function* eachObject(
  objects: Objects,
  prefix: string,
  limit = LIST_LIMIT_MAX,
): AsyncGenerator<ListedObject> {
  let page = await objects.list(prefix, { limit })
  for (;;) {
    yield* page
    if (page.length < limit) return
    page = await objects.list(prefix, { after: page.at(-1)!.key, limit })
  }
}
