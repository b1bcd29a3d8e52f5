/**
 * MQTT's strings: well-formed UTF-8 (RFC 3629) without U+0000. Overlong forms, surrogates and code
 * points above U+10FFFF are malformed. [MQTT-1.5.4-1] [MQTT-1.5.4-2] (3.1.1: [MQTT-1.5.3-1])
 */

// U+FEFF at the start is a character, not a byte order mark. [MQTT-1.5.4-3]
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** The position of the first byte that may not stand there, or -1. */
export function findTextFault(bytes: Uint8Array, start: number, end: number): number {
  let position = start
  while (position < end) {
    const byte = bytes[position]!
    if (byte === 0) return position
    if (byte < 0x80) {
      position++
      continue
    }
    const length = sequenceLength(bytes, position, end)
    if (length === 0) return position
    position += length
  }
  return -1
}

/** Bytes of the multi-byte sequence at `position`, or 0 when it is not well formed. */
function sequenceLength(bytes: Uint8Array, position: number, end: number): number {
  const lead = bytes[position]!
  if (lead < 0xc2 || lead > 0xf4) return 0
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  if (position + length > end) return 0
  // RFC 3629, section 4: the second byte's range keeps out overlong forms, surrogates and >
  // U+10FFFF.
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  const second = bytes[position + 1]!
  if (second < lowest || second > highest) return 0
  for (let index = 2; index < length; index++) {
    if ((bytes[position + index]! & 0xc0) !== 0x80) return 0
  }
  return length
}

/** Decodes bytes that `findTextFault` found sound. */
export function decodeText(bytes: Uint8Array, start: number, end: number): string {
  return start === end ? '' : decoder.decode(bytes.subarray(start, end))
}
