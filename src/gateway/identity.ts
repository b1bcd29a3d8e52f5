/**
 * A message's identity as 64 bits in two halves. Not a cryptographic hash: a device that looks for
 * collisions finds them, and loses only messages of its own.
 */
export interface Identity {
  high: number
  low: number
}

export function hashIdentity(bytes: Uint8Array, start: number, end: number, into: Identity): void {
  let high = 0x811c9dc5
  let low = 0x9747b28c
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    high = Math.imul(high ^ byte, 0x01000193)
    low = Math.imul(low ^ byte ^ (low >>> 15), 0x2c1b3c6d)
  }
  high ^= high >>> 16
  low ^= low >>> 13
  into.high = high >>> 0
  // 0,0 means "no identity" in a frame.
  into.low = high === 0 && low === 0 ? 1 : low >>> 0
}

const scratch = new Uint8Array(1024)
const encoder = new TextEncoder()

export function hashIdentityText(text: string, into: Identity): void {
  if (text.length * 3 <= scratch.length) {
    hashIdentity(scratch, 0, encoder.encodeInto(text, scratch).written, into)
    return
  }
  const bytes = encoder.encode(text)
  hashIdentity(bytes, 0, bytes.length, into)
}
