/** Packets with an optional reason string, which gives way to the client's Maximum Packet Size. */
export function encodeWithReason(
  options: { reasonString?: string | undefined; bytesMax?: number | undefined },
  encode: (reasonString: string | undefined) => Uint8Array,
): Uint8Array {
  const packet = encode(options.reasonString)
  const isTooLong = packet.length > (options.bytesMax ?? Infinity)
  return isTooLong && options.reasonString !== undefined ? encode(undefined) : packet
}
