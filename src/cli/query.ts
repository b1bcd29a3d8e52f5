/**
 * `weir query`: readings or aggregates of one device's metric, for people or for other programs.
 */
import { Option, type Command } from 'commander'
import { formatTimeUs } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import type { Aggregate } from '../query/query.ts'
import { addConnectionFlags, clientOf, type ConnectionFlags } from './connection-flags.ts'
import { numberBetween } from './failure.ts'
import { csvText, printable } from './printable.ts'

interface QueryFlags extends ConnectionFlags {
  start: string
  end: string
  agg?: string
  step?: string
  maxPoints?: number
  format: 'table' | 'csv' | 'json'
}

/**
 * A table, so that a new aggregate does not compile until it is here; the port itself loads DuckDB.
 */
const AGGREGATES: Record<Aggregate, true> = {
  avg: true,
  min: true,
  max: true,
  sum: true,
  count: true,
  stddev: true,
  first: true,
  last: true,
  rate: true,
  delta: true,
  ...{ p1: true, p5: true, p10: true, p25: true, p50: true },
  ...{ p75: true, p90: true, p95: true, p99: true },
}

interface Answer {
  points: [number, number | boolean | string | null][]
  meta: { resolution_ms: number; tiers: string[] }
}

const EXAMPLES = `
Times: RFC 3339, milliseconds since 1970, "now", or back from now such as -90s, -15m, -6h, -7d.

Examples:
  weir query pump-01 temperature
  weir query pump-01 temperature --start -7d --agg max --step 1h
  weir query pump-01 temperature --start 2026-01-01T00:00:00Z --format csv > january.csv`

export function addQuery(program: Command): void {
  const command = program
    .command('query')
    .description('read what is stored of one device and metric')
    .argument('<device>', 'id of the device')
    .argument('<metric>', 'name of the metric')
    .option('--start <time>', 'included', '-1h')
    .option('--end <time>', 'excluded', 'now')
    .addOption(new Option('--agg <function>', 'aggregate').choices(Object.keys(AGGREGATES)))
    .option('--step <duration>', 'with --agg: one value for each step, such as 30s, 5m, 1h')
    .option('--max-points <n>', 'downsample to at most', numberBetween(1, 10_000))
    .addOption(
      new Option('--format <format>', 'how to print')
        .choices(['table', 'csv', 'json'])
        .default('table'),
    )
  addConnectionFlags(command).addHelpText('after', EXAMPLES).action(query)
}

async function query(device: string, metric: string, flags: QueryFlags): Promise<void> {
  const client = clientOf(flags)
  const nowMs = Date.now()
  const answer = await client.get<Answer>('/v1/query', {
    device_id: device,
    metric,
    start: parseMoment(flags.start, nowMs),
    end: parseMoment(flags.end, nowMs),
    agg: flags.agg,
    step: flags.step,
    max_points: flags.maxPoints,
  })
  // Escaped as JSON has it anyway, so it is the same document.
  if (flags.format === 'json') return console.log(printable(JSON.stringify(answer)))
  const isCsv = flags.format === 'csv'
  const separator = isCsv ? ',' : '  '
  const show = isCsv ? csvText : printable
  if (isCsv) console.log(`time,${csvText(metric)}`)
  for (const [ms, value] of answer.points) {
    const shown = typeof value === 'string' ? show(value) : (value ?? '')
    console.log(`${formatTimeUs(Math.round(ms * 1000))}${separator}${shown}`)
  }
  if (isCsv) return
  const { tiers, resolution_ms: resolutionMs } = answer.meta
  const resolution = resolutionMs > 0 ? `one a ${resolutionMs / 1000} s` : 'raw'
  console.error(`${answer.points.length} points, ${resolution}, from ${tiers.join(', ') || 'none'}`)
}

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds since 1970. Throws CLI_USAGE_INVALID. */
export function parseMoment(text: string, nowMs: number): number {
  if (text === 'now') return nowMs
  const back = /^-(\d+(?:\.\d+)?)([smhd])$/.exec(text)
  if (back !== null) return Math.round(nowMs - Number(back[1]) * (UNIT_MS[back[2] ?? ''] ?? 0))
  if (/^\d+$/.test(text)) return Number(text)
  const isRfc3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/i.test(
    text,
  )
  const ms = isRfc3339 ? Date.parse(text) : NaN
  if (Number.isFinite(ms)) return ms
  throw new WeirError('CLI_USAGE_INVALID', `"${text}" is not a time (with a zone, such as Z)`)
}
