/** Deterministic keys of what the stream emits (S1): replays overwrite, they never add. */
import { hash } from 'node:crypto'

/** First 32 hex digits of SHA-256 over the key's JSON: no two keys share one. */
export function hashKey(key: (string | number)[]): string {
  return hash('sha256', JSON.stringify(key), 'hex').slice(0, 32)
}
