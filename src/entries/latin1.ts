/** Bytes as a text of one character a byte: the quickest key of a Map that they can have. */
type Slice = (this: Uint8Array, start: number, end: number) => string

// Node's own, which @types/node leaves out; it works on any Uint8Array, and makes no Buffer.
const { latin1Slice } = Buffer.prototype as unknown as { latin1Slice: Slice }

export const latin1 = (bytes: Uint8Array, start: number, end: number): string =>
  latin1Slice.call(bytes, start, end)
