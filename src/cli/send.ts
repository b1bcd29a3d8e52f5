/** `weir send`: one message of one device, over HTTP; the answer means that it is on disk. */
import type { Command } from 'commander'
import { WeirError } from '../errors/errors.ts'
import { ApiClient } from './api-client.ts'
import { checkUrl } from './connection-flags.ts'

interface SendFlags {
  url: string
  token?: string
  ts?: string
  id?: string
  schema?: string
}

const EXAMPLES = `
Values: a number, true or false, or text; text in double quotes is text even when it looks like a
number. --ts takes milliseconds since 1970 or RFC 3339.

Examples:
  weir send my-device temperature=21.5 running=true --token TOKEN
  weir send my-device 'serial="0042"' --ts 2026-01-31T12:00:00Z`

export function addSend(program: Command): void {
  program
    .command('send')
    .description('send one message of a device')
    .argument('<device>', 'id of the device')
    .argument('<metric=value...>', 'what it measured')
    .option('--url <url>', 'address of the HTTP API', 'http://127.0.0.1:8080')
    .option('--token <token>', 'the device’s token, or a key (or WEIR_TOKEN, WEIR_ADMIN_KEY)')
    .option('--ts <time>', 'event time; without it the server’s clock counts')
    .option('--id <id>', 'message id, by which a repeat is recognised')
    .option('--schema <type@version>', 'schema, when it is not the newest')
    .addHelpText('after', EXAMPLES)
    .action(send)
}

async function send(device: string, pairs: string[], flags: SendFlags): Promise<void> {
  checkUrl(flags.url, ['http:', 'https:'])
  const key = flags.token ?? process.env['WEIR_TOKEN'] ?? process.env['WEIR_ADMIN_KEY']
  if (key === undefined) throw new WeirError('CLI_USAGE_INVALID', 'give --token or WEIR_TOKEN')
  const message = {
    ...(flags.ts === undefined ? {} : { ts: parseTime(flags.ts) }),
    ...(flags.id === undefined ? {} : { id: flags.id }),
    ...(flags.schema === undefined ? {} : { schema: flags.schema }),
    metrics: Object.fromEntries(pairs.map(parsePair)),
  }
  const path = `/v1/devices/${encodeURIComponent(device)}/telemetry`
  await new ApiClient({ url: flags.url, key }).post(path, JSON.stringify(message))
  console.log(`stored: ${Object.keys(message.metrics).length} readings of ${device}`)
}

/** Whole milliseconds stay a number; everything else is the server's to read. */
const parseTime = (text: string): number | string => (/^\d+$/.test(text) ? Number(text) : text)

/** `temperature=21.5` → ['temperature', 21.5]. Throws CLI_USAGE_INVALID. */
export function parsePair(pair: string): [string, number | boolean | string] {
  const equals = pair.indexOf('=')
  if (equals <= 0) throw new WeirError('CLI_USAGE_INVALID', `"${pair}" is not metric=value`)
  return [pair.slice(0, equals), parseValue(pair.slice(equals + 1))]
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/

function parseValue(text: string): number | boolean | string {
  if (text === 'true' || text === 'false') return text === 'true'
  if (NUMBER.test(text)) return Number(text)
  return /^".*"$/.test(text) ? text.slice(1, -1) : text
}
