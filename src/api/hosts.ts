/**
 * Host and Origin checks against DNS rebinding: a web page whose name was pointed at this machine
 * after it was loaded still sends its own name. Known are the loopback names, the address that the
 * connection really came to, and what the operator added.
 */
import { WeirError } from '../errors/errors.ts'

export interface HostSource {
  host: string | undefined
  origin: string | undefined
  /** The server's end of the connection, such as `127.0.0.1` or `::ffff:10.0.0.7`. */
  localAddress: string | undefined
}

/** Throws API_HOST_FORBIDDEN. A request without Host comes from no browser [RFC 9112, 3.2]. */
export function checkHosts(source: HostSource, allowed: ReadonlySet<string>): void {
  const isKnown = (name: string | undefined): boolean =>
    name !== undefined &&
    (isLoopbackName(name) || allowed.has(name) || name === plainAddress(source.localAddress))
  if (source.host !== undefined && !isKnown(hostName(`http://${source.host}`))) {
    throw new WeirError('API_HOST_FORBIDDEN', `Host: ${source.host} is not one of this server`)
  }
  if (source.origin !== undefined && !isKnown(hostName(source.origin))) {
    throw new WeirError('API_HOST_FORBIDDEN', `Origin: ${source.origin} is not one of this server`)
  }
}

/** True when the browser says that the request comes from the very page this server gave it. */
export function isSameOrigin(headers: Record<string, string | string[] | undefined>): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin') return false
  const { origin, host } = headers
  if (origin === undefined) return site === 'same-origin'
  return typeof origin === 'string' && URL.canParse(origin) && new URL(origin).host === host
}

export function isLoopbackAddress(address: string | undefined): boolean {
  const plain = plainAddress(address)
  return plain !== undefined && isLoopbackName(plain)
}

/** Lower case, without port; an IPv6 address without brackets. Undefined when it is no host. */
function hostName(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined
  return new URL(url).hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
}

/** `::ffff:10.0.0.7` → `10.0.0.7`: how a dual-stack socket shows an IPv4 peer. */
const plainAddress = (address: string | undefined): string | undefined =>
  address?.replace(/^::ffff:(?=\d+\.)/, '')

const isLoopbackName = (name: string): boolean =>
  name === 'localhost' || name === '::1' || /^127\.\d+\.\d+\.\d+$/.test(name)
