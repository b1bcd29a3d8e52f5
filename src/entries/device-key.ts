/**
 * The key of a device's entries, and where Kafka's default partitioner puts it: MurmurHash2 (Austin
 * Appleby, public domain) with the sign bit taken off.
 */
const SEED = 0x9747b28c
const M = 0x5bd1e995
const R = 24

const encoder = new TextEncoder()

export const deviceKey = (tenant: string, deviceId: string): Uint8Array =>
  encoder.encode(`${tenant}/${deviceId}`)

export const partitionOf = (key: Uint8Array, partitions: number): number =>
  (hashKey(key) & 0x7fff_ffff) % partitions

/** Of its key: where its partition and its store are found by. Signed, 32 bits. */
export const hashDevice = (tenant: string, deviceId: string): number =>
  hashKey(deviceKey(tenant, deviceId))

/** Signed, 32 bits. */
export function hashKey(bytes: Uint8Array): number {
  const { length } = bytes
  let hash = SEED ^ length
  let at = 0
  for (; at + 4 <= length; at += 4) {
    let k = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    k = Math.imul(k, M)
    k ^= k >>> R
    hash = Math.imul(hash, M) ^ Math.imul(k, M)
  }
  const left = length - at
  if (left >= 3) hash ^= bytes[at + 2]! << 16
  if (left >= 2) hash ^= bytes[at + 1]! << 8
  if (left >= 1) hash = Math.imul(hash ^ bytes[at]!, M)
  hash ^= hash >>> 13
  hash = Math.imul(hash, M)
  return hash ^ (hash >>> 15)
}
