/** A part of an object store, under a prefix, as a store of its own. */
import type { ListedObject, Objects } from './objects.ts'

/** Without a prefix it is the store itself. */
export function withPrefix(objects: Objects, prefix: string): Objects {
  if (prefix === '') return objects
  const long = (key: string): string => `${prefix}/${key}`
  const short = (one: ListedObject): ListedObject => ({
    ...one,
    key: one.key.slice(prefix.length + 1),
  })
  return {
    put: (key, bytes, how) => objects.put(long(key), bytes, how),
    get: (key, range) => objects.get(long(key), range),
    head: (key) => objects.head(long(key)),
    async list(start, { after, limit }) {
      const page = after === undefined ? { limit } : { after: long(after), limit }
      return (await objects.list(long(start), page)).map(short)
    },
    delete: (key) => objects.delete(long(key)),
    close: () => objects.close(),
  }
}
