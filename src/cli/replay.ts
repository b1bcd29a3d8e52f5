/**
 * `weir replay`: stored history from a file into Weir, as history: no rule fires, no window moves.
 */
import { Option, type Command } from 'commander'
import { WeirError } from '../errors/errors.ts'
import { createDevice } from './registration.ts'
import { addConnectionFlags, clientOf, type ConnectionFlags } from './connection-flags.ts'
import { CsvMessages } from './csv-messages.ts'
import { numberBetween } from './failure.ts'
import { LineProtocolMessages, NdjsonMessages } from './line-messages.ts'
import { printable } from './printable.ts'
import { Progress } from './progress.ts'
import { openReplayFile } from './replay-file.ts'
import type { ReplayFormat, ReplayItem } from './replay-item.ts'
import { ReplayLanes, describeReason, type ReplayTotals } from './replay-lanes.ts'

interface ReplayFlags extends ConnectionFlags {
  format?: ReplayFormat
  time: string[]
  tz: string
  device: string
  metrics?: string[]
  skip: string[]
  separator: string
  precision: string
  register?: boolean
  concurrency: number
  batch: number
}

const EXAMPLES = `
Formats: line (InfluxDB line protocol), ndjson (one message a line, with "device"), csv. Files may be
gzip or Zstandard. CSV: --time is one column (RFC 3339, YYYY-MM-DD HH:MM:SS, seconds or milliseconds
since 1970) or the parts year,month,day,hour,minute,second as far as there are; --tz is the zone of
times without one. Empty, NA and NaN are no readings. A column with anything else than numbers is text.
All other columns are metrics unless --metrics chooses or --skip leaves out. Event times of any past are
believed. Nothing is stored twice, so a replay that broke off can be run again.

Examples:
  weir replay fleet.influx.zst --register
  weir replay station.csv.gz --time year,month,day,hour --tz Asia/Shanghai --device station --register
  weir replay one-pump.csv --time timestamp --device pump-01 --metrics temperature,pressure

The exit code is 1 when anything was refused.`

const list = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')

export function addReplay(program: Command): void {
  const command = program
    .command('replay')
    .description('send a file of stored readings, as history')
    .argument('<file>', 'plain, .gz or .zst')
    .addOption(
      new Option('--format <format>', 'default: by the file’s name').choices([
        'line',
        'csv',
        'ndjson',
      ]),
    )
    .option('--time <columns>', 'csv: column of the time, or of its parts', list, ['time'])
    .option('--tz <zone>', 'csv: zone of times without one', 'UTC')
    .option('--device <column>', 'csv: column of the device’s id, or the id itself', 'device')
    .option('--metrics <columns>', 'csv: only these', list)
    .option('--skip <columns>', 'csv: all but these', list, [])
    .option('--separator <character>', 'csv: between fields', ',')
    .addOption(
      new Option('--precision <unit>', 'line: unit of the timestamps')
        .choices(['ns', 'us', 'ms', 's', 'm', 'h'])
        .default('ns'),
    )
    .option('--register', 'create devices that do not exist, as type generic')
    .option('--concurrency <n>', 'requests at a time', numberBetween(1, 64), 4)
    .option('--batch <n>', 'messages in a request', numberBetween(1, 10_000), 1000)
  addConnectionFlags(command).addHelpText('after', EXAMPLES).action(replay)
}

interface Messages {
  push(text: string): ReplayItem[]
  end(): ReplayItem[]
}

async function replay(path: string, flags: ReplayFlags): Promise<void> {
  const client = clientOf(flags)
  const format = flags.format ?? formatOf(path)
  const messages = messagesOf(format, flags)
  const file = await openReplayFile(path)
  const lanes = new ReplayLanes({
    client,
    format,
    concurrency: flags.concurrency,
    batchMessagesMax: flags.batch,
    precision: flags.precision,
    retryMs: 60_000,
  })
  const progress = new Progress(file.bytesTotal)
  const startMs = performance.now()
  const seen = new Set<string>()
  let lines = 0
  const take = async (items: ReplayItem[]): Promise<void> => {
    for (const item of items) {
      lines = item.line
      if (item.kind === 'refusal') {
        lanes.refuse(item)
        continue
      }
      const isNew = flags.register === true && item.deviceId !== '' && !seen.has(item.deviceId)
      if (isNew) await createDevice(client, { id: item.deviceId, type: 'generic' })
      seen.add(item.deviceId)
      await lanes.push(item)
    }
    progress.update(file.bytesRead(), `${lanes.totals.accepted} messages stored`)
  }
  try {
    for await (const piece of file.pieces()) await take(messages.push(piece))
    await take(messages.end())
    await lanes.finish()
  } finally {
    progress.finish()
  }
  printSummary(lanes.totals, { lines, seconds: (performance.now() - startMs) / 1000 })
  if (lanes.totals.rejected > 0) process.exitCode = 1
}

/** By the name without its compression: `.csv`, `.ndjson`, `.jsonl`; all else is line protocol. */
function formatOf(path: string): ReplayFormat {
  const name = path.replace(/\.(gz|zst)$/i, '').toLowerCase()
  if (/\.(csv|tsv)$/.test(name)) return 'csv'
  return /\.(ndjson|jsonl)$/.test(name) ? 'ndjson' : 'line'
}

function messagesOf(format: ReplayFormat, flags: ReplayFlags): Messages {
  if (format === 'line') return new LineProtocolMessages()
  if (format === 'ndjson') return new NdjsonMessages()
  const { time, tz: zone, device, metrics, skip, separator } = flags
  if (separator.length !== 1)
    throw new WeirError('CLI_USAGE_INVALID', '--separator takes one character')
  return new CsvMessages({ time, zone, device, metrics, skip, separator })
}

function printSummary(totals: ReplayTotals, run: { lines: number; seconds: number }): void {
  const { messages, readings, accepted, rejected, reasons, examples } = totals
  const rate = Math.round(readings / Math.max(run.seconds, 0.001))
  console.log(
    `${run.lines} lines, ${messages} messages with ${readings} readings sent in ` +
      `${run.seconds.toFixed(1)} s (${rate} readings/s): ${accepted} accepted, ${rejected} rejected`,
  )
  for (const [code, count] of reasons) console.log(`  ${count} × ${code}: ${describeReason(code)}`)
  for (const { line, code, detail } of examples)
    console.log(`  line ${line}: ${code}: ${printable(detail)}`)
}
