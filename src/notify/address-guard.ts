/**
 * Which IP addresses a channel that people set up may reach: those of the public internet, and no
 * other. A list of what is allowed for IPv6 (all that IANA gives out is inside of 2000::/3, so
 * mapped, NAT64, unique-local, link-local and multicast addresses fall outside of it), and of what
 * is not for IPv4, where the public rest has no other description.
 *
 * Source: IANA's registries of special-purpose addresses (RFC 6890 and what updates it), and the
 * metadata services of clouds that lie in otherwise public space.
 */

interface Range {
  bits: 32 | 128
  first: bigint
  last: bigint
  what: string
}

const FORBIDDEN_IPV4 = [
  ...['0.0.0.0/8 this network', '10.0.0.0/8 private', '100.64.0.0/10 carrier-grade NAT'],
  ...['127.0.0.0/8 loopback', '169.254.0.0/16 link-local and metadata', '172.16.0.0/12 private'],
  ...['192.0.0.0/24 protocol assignments', '192.0.2.0/24 documentation'],
  ...['192.88.99.0/24 6to4 relays', '192.168.0.0/16 private', '198.18.0.0/15 benchmarks'],
  ...['198.51.100.0/24 documentation', '203.0.113.0/24 documentation', '224.0.0.0/4 multicast'],
  ...['240.0.0.0/4 reserved and broadcast', '168.63.129.16/32 metadata of Azure'],
].map(rangeOf)

/** Inside of 2000::/3, and yet nobody's, or a way to an IPv4 address. */
const FORBIDDEN_IPV6 = [
  ...['2001::/23 protocol assignments and Teredo', '2001:db8::/32 documentation'],
  ...['2002::/16 6to4', '3fff::/20 documentation'],
].map(rangeOf)
const GLOBAL_UNICAST = rangeOf('2000::/3 global unicast')

/** Why this address must not be reached; undefined when it may. What is no address must not. */
export function refusalOfAddress(address: string): string | undefined {
  const parsed = parseAddress(address)
  if (parsed === undefined) return 'no IP address'
  const { bits, value } = parsed
  const holds = ({ first, last }: Range): boolean => value >= first && value <= last
  if (bits === 32) return FORBIDDEN_IPV4.find(holds)?.what
  return holds(GLOBAL_UNICAST) ? FORBIDDEN_IPV6.find(holds)?.what : 'no global unicast address'
}

/** `10.0.0.0/8 private`. */
function rangeOf(text: string): Range {
  const [, network = '', length = '', what = ''] = /^(\S+)\/(\d+) (.*)$/.exec(text) ?? []
  const { bits, value } = parseAddress(network)!
  const host = (1n << BigInt(bits - Number(length))) - 1n
  return { bits, first: value & ~host, last: value | host, what }
}

/** An address as resolvers and URLs write it: dotted IPv4, or any IPv6 without brackets. */
export function parseAddress(text: string): { bits: 32 | 128; value: bigint } | undefined {
  if (!text.includes(':')) {
    const value = parseIpv4(text)
    return value === undefined ? undefined : { bits: 32, value }
  }
  const value = parseIpv6(text)
  return value === undefined ? undefined : { bits: 128, value }
}

function parseIpv4(text: string): bigint | undefined {
  const parts = text.split('.')
  const isRight = (part: string): boolean => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256
  if (parts.length !== 4 || !parts.every(isRight)) return undefined
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n)
}

function parseIpv6(text: string): bigint | undefined {
  const tail = text.slice(text.lastIndexOf(':') + 1)
  const dotted = tail.includes('.') ? parseIpv4(tail) : undefined
  if (tail.includes('.') && dotted === undefined) return undefined
  const words = dotted === undefined ? '' : `${(dotted >> 16n).toString(16)}:`
  const low = dotted === undefined ? tail : `${words}${(dotted & 0xffffn).toString(16)}`
  const halves = `${text.slice(0, text.length - tail.length)}${low}`.split('::')
  if (halves.length > 2) return undefined
  const [left = [], right] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - left.length - (right?.length ?? 0)
  if (right === undefined ? missing !== 0 : missing < 1) return undefined
  const all = [...left, ...Array<string>(missing).fill('0'), ...(right ?? [])]
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n)
}
