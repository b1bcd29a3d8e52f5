/**
 * Bearer secrets: 32 random bytes in base64url behind a readable prefix, so that a leaked one is
 * recognised at sight (and by secret scanners). Only the SHA-256 is kept: with 256 random bits a
 * slow hash would protect nothing and cost every request milliseconds.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Random } from '../world/world.ts'

export const DEVICE_TOKEN_PREFIX = 'wdt_'
export const ADMIN_KEY_PREFIX = 'wak_'

const SECRET_BYTES = 32

/** A new secret of 43 random characters behind `prefix`. */
export function createSecret(prefix: string, random: Random): string {
  return prefix + Buffer.from(random.bytes(SECRET_BYTES)).toString('base64url')
}

/** SHA-256 of the secret's text, 32 bytes. */
export function hashSecret(secret: string): Uint8Array {
  return createHash('sha256').update(secret).digest()
}

/** Compares two hashes in time that depends on their length only. */
export function areHashesEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right)
}
