/**
 * The address that a person gave for a channel. Its text is checked when it is given, what its name
 * resolves to with each delivery: what was public yesterday may point inside today.
 */
import { lookup } from 'node:dns/promises'
import { WeirError } from '../errors/errors.ts'
import { parseAddress, refusalOfAddress } from './address-guard.ts'

export interface EndpointRules {
  /** Private, loopback and link-local addresses too; and http. */
  allowPrivate?: boolean
  /** http to public addresses: the body is then readable on its way. */
  allowHttp?: boolean
}

/** All addresses of a name, IPv4 and IPv6. Throws when there is none. */
export type Resolve = (name: string) => Promise<readonly string[]>

/** The system's way: its hosts file, then DNS. */
export const systemResolve: Resolve = async (name) =>
  (await lookup(name, { all: true })).map(({ address }) => address)

const URL_LENGTH_MAX = 2048

/** Errors: NOTIFY_ENDPOINT_INVALID, NOTIFY_ADDRESS_FORBIDDEN. Nothing is resolved. */
export function checkEndpoint(text: string, rules: EndpointRules): URL {
  const isHttpAllowed = rules.allowHttp === true || rules.allowPrivate === true
  const url = text.length <= URL_LENGTH_MAX ? URL.parse(text) : null
  if (url === null) throw invalid(`not an address of at most ${URL_LENGTH_MAX} characters`)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isHttpAllowed)) {
    throw invalid(`${url.protocol} is not allowed, only ${isHttpAllowed ? 'http and ' : ''}https`)
  }
  if (url.username !== '' || url.password !== '') throw invalid('it has a user name or password')
  const literal = literalOf(url)
  if (literal !== undefined) checkAddresses(url, [literal], rules)
  return url
}

/** Addresses to connect to, each of them checked. Errors: N2 of notify.ts. */
export async function resolveEndpoint(
  url: URL,
  rules: EndpointRules,
  resolve: Resolve,
): Promise<readonly string[]> {
  const literal = literalOf(url)
  const addresses = literal === undefined ? await resolveName(url, resolve) : [literal]
  checkAddresses(url, addresses, rules)
  return addresses
}

async function resolveName(url: URL, resolve: Resolve): Promise<readonly string[]> {
  let addresses: readonly string[]
  try {
    addresses = await resolve(url.hostname)
  } catch (error) {
    // A name that is mistyped and one whose server is away look the same to us.
    const { code = 'no answer' } = error as { code?: string }
    throw new WeirError('NOTIFY_UNAVAILABLE', `${url.hostname} is not resolved: ${code}`)
  }
  if (addresses.length > 0) return addresses
  throw new WeirError('NOTIFY_UNAVAILABLE', `${url.hostname} has no address`)
}

/** One forbidden address forbids the name: which of them is connected to is chance. */
function checkAddresses(url: URL, addresses: readonly string[], rules: EndpointRules): void {
  if (rules.allowPrivate === true) return
  for (const address of addresses) {
    const refusal = refusalOfAddress(address)
    if (refusal !== undefined) {
      throw new WeirError('NOTIFY_ADDRESS_FORBIDDEN', `${url.hostname}: ${refusal}`)
    }
  }
}

/** The address itself where a URL has one; URL has made `0x7f.1` and `2130706433` dotted before. */
function literalOf({ hostname }: URL): string | undefined {
  const text = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  return parseAddress(text) === undefined ? undefined : text
}

const invalid = (why: string): WeirError => new WeirError('NOTIFY_ENDPOINT_INVALID', why)
