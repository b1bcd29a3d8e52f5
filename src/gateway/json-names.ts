/**
 * Which devices a body of JSON names, without parsing it: the text behind each `"device":`. A name
 * too many (from a nested object, or from a body that turns out to be no JSON) costs a look-up and
 * nothing else; none may be missing. So a body with escapes, where names and keys may be written in
 * other ways, is parsed after all.
 */
const KEY = Buffer.from('"device"')
const QUOTE = 0x22
const COLON = 0x3a
const BACKSLASH = 0x5c

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Each once, without those that `isKnown` by their bytes [start, end). */
export function namesOfDevices(
  body: Uint8Array,
  isKnown: (start: number, end: number) => boolean,
): Set<string> {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length)
  const names = new Set<string>()
  if (bytes.includes(BACKSLASH)) {
    for (const name of parsedNames(bytes)) names.add(name)
    return names
  }
  for (let key = bytes.indexOf(KEY); key >= 0; key = bytes.indexOf(KEY, key + KEY.length)) {
    const colon = skipBlanks(bytes, key + KEY.length)
    if (bytes[colon] !== COLON) continue
    const quote = skipBlanks(bytes, colon + 1)
    if (bytes[quote] !== QUOTE) continue
    const end = bytes.indexOf(QUOTE, quote + 1)
    if (end < 0 || isKnown(quote + 1, end)) continue
    const name = decoded(bytes.subarray(quote + 1, end))
    if (name !== undefined) names.add(name)
  }
  return names
}

function parsedNames(bytes: Uint8Array): string[] {
  let value: unknown
  try {
    value = JSON.parse(utf8.decode(bytes))
  } catch {
    return []
  }
  const messages: unknown[] = Array.isArray(value) ? value : [value]
  return messages
    .map((message) => (message as { device?: unknown } | null)?.device)
    .filter((name) => typeof name === 'string')
}

/** Undefined for what is no UTF-8: nobody has that name. */
function decoded(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

function skipBlanks(bytes: Uint8Array, from: number): number {
  let at = from
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++
  return at
}
