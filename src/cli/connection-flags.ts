/** The flags that every client command shares. */
import type { Command } from 'commander'
import { WeirError } from '../errors/errors.ts'
import { ApiClient } from './api-client.ts'

export interface ConnectionFlags {
  url: string
  key?: string
}

export function addConnectionFlags(command: Command): Command {
  return command
    .option('--url <url>', 'address of the HTTP API', 'http://127.0.0.1:8080')
    .option('--key <key>', 'admin key (or WEIR_ADMIN_KEY, which no process list shows)')
}

/** The client that the flags describe; throws CLI_USAGE_INVALID without a key. */
export function clientOf(flags: ConnectionFlags): ApiClient {
  checkUrl(flags.url, ['http:', 'https:'])
  const key = flags.key ?? process.env['WEIR_ADMIN_KEY']
  if (key === undefined || key === '')
    throw new WeirError('CLI_USAGE_INVALID', 'give the admin key by --key or WEIR_ADMIN_KEY')
  return new ApiClient({ url: flags.url, key })
}

/** The URL, or CLI_USAGE_INVALID when it is none or of another scheme. */
export function checkUrl(text: string, schemes: string[]): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && schemes.includes(url.protocol)) return url
  const expected = schemes.map((scheme) => `${scheme}//…`).join(' or ')
  throw new WeirError('CLI_USAGE_INVALID', `"${text}" is not an address like ${expected}`)
}
