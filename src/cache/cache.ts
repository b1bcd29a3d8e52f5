/**
 * The cache of a cluster: answers that may be computed again at any time.
 *
 * C1 A miss is always possible; who asks must be able to do without.
 * C2 Never a value that was set longer ago than its time to live. (Where processes share a cache:
 *    as far as their wall clocks agree.)
 * C3 Never one key's value for another, whatever goes wrong in between: keys begin with the
 *    tenant, and a mix-up would show a customer the data of another.
 * C4 After a set, never a value of before; also when the new one could not be kept because it is
 *    too large or too old already. The same holds for a deletion. Where the cache could not be
 *    reached, both may be without effect, up to the time to live.
 * C5 Nothing throws or rejects, and nothing waits for more than a few ms beyond the cache's
 *    time-out. What fails is a miss, and is counted.
 * C6 Its size is bounded in bytes; what was used least recently makes room.
 */
export interface Cache {
  /** Undefined: a miss. The bytes are the caller's. */
  get(key: string): Promise<Uint8Array | undefined>
  /** Takes a copy of the bytes. Resolves once it is kept or has failed; need not be waited for. */
  set(key: string, value: Uint8Array, ttlMs: number): Promise<void>
  delete(key: string): Promise<void>
  counts(): CacheCounts
  /** Misses from here on. May be called again. */
  close(): Promise<void>
}

/** Since it was opened. `hits + misses` is the number of get(); a get that failed is a miss too. */
export interface CacheCounts {
  hits: number
  misses: number
  /** Values that were larger than one may be. */
  refused: number
  /** Calls that failed: not connected, no answer in time, an answer that belongs elsewhere. */
  faults: number
}

/** A limit that all adapters share, so that an installation behaves alike on each. */
export const VALUE_BYTES_MAX = 1024 * 1024

export const noCounts = (): CacheCounts => ({ hits: 0, misses: 0, refused: 0, faults: 0 })

export { CachedQuery } from './cached-query.ts'
