/** `weir erasure`: erases what devices said, and checks receipts of that. */
import { readFile, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { ErasureReceipt } from '../api/api.ts'
import { fingerprintOf, isSignedBy } from '../embedded/instance-key.ts'
import { WeirError } from '../errors/errors.ts'
import { clientOf } from './connection-flags.ts'
import { addDeskFlags, pathOf, printJson, type DeskFlags } from './desk-output.ts'
import { untilDone } from './jobs.ts'
import { printable } from './printable.ts'

interface Status {
  id: string
  state: 'running' | 'done' | 'failed'
  problem: string | null
  receipt: ErasureReceipt | null
}

const EXAMPLES = `
From the moment of the request on nothing of it is shown, and what of it comes again is not stored.

Examples:
  weir erasure start --device pump-1 --receipt receipt.json
  weir erasure start --owner "Ada Lovelace" --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z
  weir erasure verify receipt.json`

export function addErasure(program: Command): void {
  const erasure = program
    .command('erasure')
    .description('erase what devices said, for good, and prove it')
    .addHelpText('after', EXAMPLES)
  addDeskFlags(
    erasure
      .command('start')
      .description('erase, and wait for the receipt')
      .option('--device <id>', 'of this device')
      .option('--owner <name>', 'of all devices with this tag `owner`')
      .option('--from <time>', 'event times from here on, in RFC 3339; all without')
      .option('--to <time>', 'up to here, excluded; until now without')
      .option('--receipt <file>', 'write the signed receipt into this file'),
  ).action(start)
  addDeskFlags(
    erasure.command('show').description('how far one is').argument('<id>', 'id of the erasure'),
  ).action(show)
  erasure
    .command('verify')
    .description('check the signature of a receipt, without a server')
    .argument('<file>', 'the receipt')
    .option('--key <fingerprint>', 'SHA-256 of the key that must have signed it, hex')
    .action(verify)
}

interface StartFlags extends DeskFlags {
  device?: string
  owner?: string
  from?: string
  to?: string
  receipt?: string
}

async function start(flags: StartFlags): Promise<void> {
  const { device, owner, from, to } = flags
  if ((device === undefined) === (owner === undefined)) {
    throw new WeirError('CLI_USAGE_INVALID', 'give either --device or --owner')
  }
  const place = pathOf(device === undefined ? '/v1/owners' : '/v1/devices', (device ?? owner)!)
  const span = Object.entries({ from, to }).filter(([, time]) => time !== undefined)
  const query = new URLSearchParams(span as [string, string][])
  const client = clientOf(flags)
  const { id } = await client.deleteForAnswer<{ id: string }>(`${place}/data?${query}`)
  const status = await untilDone<Status>(client, pathOf('/v1/erasures', id))
  if (status.state === 'failed') throw new WeirError('OBJECTS_UNAVAILABLE', status.problem ?? '')
  return tell(status, flags)
}

async function tell({ id, receipt }: Status, { json, receipt: file }: StartFlags): Promise<void> {
  const text = JSON.stringify(receipt, undefined, 2)
  if (file !== undefined) await writeFile(file, `${text}\n`)
  if (json === true) return printJson(receipt)
  // A cluster has tables, too.
  const { files, rows: tables = {} } = receipt!.erasure as {
    files: { rows: number }[]
    rows?: Record<string, number>
  }
  const counts = [...files.map((one) => one.rows), ...Object.values(tables)]
  const rows = counts.reduce((sum, one) => sum + one, 0)
  const places = Object.keys(tables).length
  const ofTables = places === 0 ? '' : ` and ${places} tables`
  console.log(`Erasure ${id}: ${rows} rows went from ${files.length} files${ofTables}.`)
  console.log(`Signed by ${fingerprintOf(receipt!.key)}`)
}

async function show(id: string, flags: DeskFlags): Promise<void> {
  const status = await clientOf(flags).get<Status>(pathOf('/v1/erasures', id))
  if (flags.json === true) return printJson(status)
  console.log(
    status.problem === null ? status.state : `${status.state}: ${printable(status.problem)}`,
  )
  if (status.receipt !== null) printJson(status.receipt)
}

/** Whether it has the form of one: it may come from anywhere. */
function isReceipt(value: unknown): value is ErasureReceipt {
  if (typeof value !== 'object' || value === null) return false
  const { erasure, key, signature } = value as Record<string, unknown>
  return typeof erasure === 'object' && typeof key === 'string' && typeof signature === 'string'
}

async function verify(file: string, { key }: { key?: string }): Promise<void> {
  let receipt: unknown
  try {
    receipt = JSON.parse(await readFile(file, 'utf8'))
  } catch (cause) {
    throw new WeirError('CLI_USAGE_INVALID', `${file} cannot be read as a receipt`, { cause })
  }
  if (!isReceipt(receipt)) throw new WeirError('RECEIPT_INVALID', `${file}: it is no receipt`)
  const fingerprint = fingerprintOf(receipt.key)
  if (!isSignedBy(JSON.stringify(receipt.erasure), receipt)) {
    throw new WeirError('RECEIPT_INVALID', `${file}: its signature is not that of its text`)
  }
  if (key !== undefined && key.toLowerCase() !== fingerprint) {
    throw new WeirError('RECEIPT_INVALID', `${file}: it was signed by ${fingerprint}`)
  }
  console.log(`The receipt is as it was signed by ${fingerprint}.`)
}
