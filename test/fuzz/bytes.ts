/** Bytes that were right once: changed, cut, doubled, with something put in or taken out. */
import fc from 'fast-check'

type Change = (bytes: Uint8Array) => Uint8Array

const place = fc.nat({ max: 0xffff_ffff })
const at = (bytes: Uint8Array, where: number): number => where % (bytes.length + 1)

const concat = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

const set = fc.tuple(place, fc.nat({ max: 255 })).map(([where, value]): Change => (bytes) => {
  const changed = Uint8Array.from(bytes)
  if (changed.length > 0) changed[where % changed.length] = value
  return changed
})
const flip = fc.tuple(place, fc.nat({ max: 7 })).map(([where, bit]): Change => (bytes) => {
  const changed = Uint8Array.from(bytes)
  if (changed.length > 0) changed[where % changed.length]! ^= 1 << bit
  return changed
})
const cut = place.map(
  (where): Change =>
    (bytes) =>
      bytes.slice(0, at(bytes, where)),
)
const remove = fc.tuple(place, fc.nat({ max: 12 })).map(([where, count]): Change => (bytes) => {
  const from = at(bytes, where)
  return concat(bytes.slice(0, from), bytes.slice(from + count))
})
const insert = fc
  .tuple(place, fc.uint8Array({ minLength: 1, maxLength: 12 }))
  .map(([where, more]): Change => (bytes) => {
    const from = at(bytes, where)
    return concat(bytes.slice(0, from), more, bytes.slice(from))
  })
const repeat = fc.tuple(place, place, fc.nat({ max: 4 })).map(([one, other, times]): Change => {
  return (bytes) => {
    const [from = 0, to = 0] = [at(bytes, one), at(bytes, other)].toSorted((a, b) => a - b)
    const piece = bytes.slice(from, Math.min(to, from + 200))
    const copies = Array.from({ length: times }, () => piece)
    return concat(bytes.slice(0, from), ...copies, bytes.slice(from))
  }
})

/** Up to four changes, in order. */
const changes = fc.array(fc.oneof(set, flip, cut, remove, insert, repeat), {
  minLength: 1,
  maxLength: 4,
})

export const mutated = (original: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc.tuple(original, changes).map(([bytes, all]) =>
    // Not a method call on `bytes`: a Buffer's slice shares its memory.
    all.reduce<Uint8Array>((changed, change) => change(changed), Uint8Array.from(bytes)),
  )

export const mutatedText = (original: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  mutated(original.map((text) => new TextEncoder().encode(text))).map((bytes) =>
    new TextDecoder().decode(bytes),
  )

/** Where to cut: pieces of any size, single bytes among them. */
export const cuts = fc.oneof(
  fc.constant('every byte' as const),
  fc.array(place, { minLength: 1, maxLength: 8 }),
)

export function pieces(bytes: Uint8Array, how: 'every byte' | number[]): Uint8Array[] {
  if (how === 'every byte') return Array.from(bytes, (byte) => Uint8Array.of(byte))
  const places = [0, ...how.map((where) => at(bytes, where)), bytes.length]
  const sorted = places.toSorted((a, b) => a - b)
  return sorted.slice(1).map((end, index) => bytes.slice(sorted[index], end))
}

/** The same for texts; a surrogate pair may be cut in two. */
export function textPieces(text: string, how: 'every byte' | number[]): string[] {
  if (how === 'every byte') return text.split('')
  const places = [0, ...how.map((where) => where % (text.length + 1)), text.length]
  const sorted = places.toSorted((a, b) => a - b)
  return sorted.slice(1).map((end, index) => text.slice(sorted[index], end))
}

/** One of these characters, each of one UTF-16 unit. */
export const oneOf = (characters: string): fc.Arbitrary<string> =>
  fc.constantFrom(...characters.split(''))
