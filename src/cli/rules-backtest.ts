/** `weir rules backtest`: what rules would have said, for people and for CI. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { parse } from 'yaml'
import type { ReportJson, RuleReportJson } from '../api/routes/backtests.ts'
import { formatDurationUs } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import { addConnectionFlags, clientOf, type ConnectionFlags } from './connection-flags.ts'
import { numberBetween } from './failure.ts'
import { printable } from './printable.ts'
import { Progress } from './progress.ts'
import { loadPlan } from './settings.ts'

interface BacktestFlags extends ConnectionFlags {
  rule?: string
  pipeline?: string
  days: number
  json?: boolean
}

interface Line {
  progress?: { readings: number; devices_done: number; devices_total: number }
  report?: ReportJson
  problem?: { code: string; detail?: string }
}

const EXAMPLES = `
Exit code 1: a rule exceeds its noise budget.

Examples:
  weir rules backtest --rule hot --days 30
  weir rules backtest --rule new-rule.yaml
  weir rules backtest --pipeline weir.pipeline.yaml --days 7`

export function addRulesBacktest(rules: Command): void {
  const command = rules
    .command('backtest')
    .description('what rules would have said over the last days')
    .option('--rule <file|id>', 'a rule as YAML or JSON, or the id of one that the server has')
    .option('--pipeline <file>', 'all rules of a pipeline definition')
    .option('--days <n>', 'so many days up to now', numberBetween(0, 3660), 30)
    .option('--json', 'print the report as JSON')
  addConnectionFlags(command).addHelpText('after', EXAMPLES).action(backtest)
}

async function backtest(flags: BacktestFlags): Promise<void> {
  const body = JSON.stringify({ rules: await rulesOf(flags), days: flags.days })
  const progress = new ScanProgress()
  let report: ReportJson | undefined
  await clientOf(flags).postForLines('/v1/rules/backtest', body, (text) => {
    const line = JSON.parse(text) as Line
    if (line.progress !== undefined) progress.update(line.progress)
    if (line.problem !== undefined) throw problemOf(line.problem)
    report = line.report ?? report
  })
  progress.finish()
  if (report === undefined) throw new WeirError('CLIENT_UNREACHABLE', 'the answer ended too early')
  console.log(flags.json === true ? JSON.stringify(report) : formatReport(report))
  if (report.rules.some(({ budget }) => budget?.is_kept === false)) process.exitCode = 1
}

/** What is neither a file nor the name of one is the id of a rule. */
async function rulesOf({ rule, pipeline }: BacktestFlags): Promise<unknown[]> {
  if ((rule === undefined) === (pipeline === undefined)) {
    throw new WeirError('CLI_USAGE_INVALID', 'give either --rule or --pipeline')
  }
  if (pipeline !== undefined) {
    // What is wrong is told with its lines.
    await loadPlan(pipeline)
    const { rules } = parse(await readFile(pipeline, 'utf8')) as { rules?: unknown[] }
    if (rules?.length) return rules
    throw new WeirError('CLI_USAGE_INVALID', `${pipeline} has no rules`)
  }
  try {
    return [parse(await readFile(rule!, 'utf8'))]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    if (/[/.]/.test(rule!)) throw new WeirError('CLI_USAGE_INVALID', `there is no file ${rule}`)
    return [rule]
  }
}

const problemOf = ({ code, detail }: { code: string; detail?: string }): WeirError =>
  new WeirError('QUERY_FAILED', `${code}: ${detail ?? ''}`)

/** Devices are the measure: how many readings there are is known at the end. */
class ScanProgress {
  #bar: Progress | undefined

  update({ readings, devices_done: done, devices_total: total }: NonNullable<Line['progress']>) {
    this.#bar ??= new Progress(total)
    this.#bar.update(done, `${done} of ${total} devices, ${readings.toLocaleString('en')} readings`)
  }

  finish(): void {
    this.#bar?.finish()
  }
}

export function formatReport(report: ReportJson): string {
  const days = (report.end - report.start) / 86_400_000
  const heading =
    `${count(report.readings, 'reading')} of ${count(report.devices, 'device')} ` +
    `in ${Number(days.toFixed(1))} days`
  const missing =
    report.completeness < 1
      ? [`Not everything was there to be read: ${Math.floor(report.completeness * 100)} %.`]
      : []
  return [heading, ...missing, ...report.rules.map(formatRule)].join('\n')
}

function formatRule(rule: RuleReportJson): string {
  const { rule_id: id, severity, alerts, episodes, devices } = rule
  const lines = [`\n${printable(id)} (${severity})`]
  if (alerts === 0) lines.push('  would not have fired')
  else {
    const folded = episodes === alerts ? '' : `, from ${count(episodes, 'episode')}`
    lines.push(
      `  would have fired ${times(alerts)} for ${count(devices, 'device')}${folded}`,
      `  ${sparkline(rule.days.map((day) => day.alerts))}  alerts a day, ${range(rule.days)}`,
    )
    if (rule.flapping > 0) lines.push(`  ${count(rule.flapping, 'alert')} flapping`)
    lines.push('  noisiest  ' + rule.noisiest.slice(0, 5).map(formatNoise).join(', '))
    lines.push('  longest   ' + rule.longest.slice(0, 3).map(formatEpisode).join(', '))
  }
  if (rule.budget !== undefined) lines.push(`  ${formatBudget(rule.budget)}`)
  return lines.join('\n')
}

const count = (number: number, noun: string): string =>
  `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`

const times = (number: number): string =>
  number === 1 ? 'once' : `${number.toLocaleString('en')} times`

const formatNoise = ({ device_id: id, alerts }: RuleReportJson['noisiest'][number]): string =>
  `${printable(id)} ${alerts}`

function formatEpisode(one: RuleReportJson['longest'][number]): string {
  const from = new Date(one.triggered_at).toISOString().slice(0, 16)
  const lasted =
    one.resolved_at === null ? 'still' : roundDuration(one.resolved_at - one.triggered_at)
  return `${printable(one.device_id)} ${lasted} (${from}Z)`
}

const UNITS: [string, number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
]

function roundDuration(ms: number): string {
  const [unit, size] = UNITS.find(([, size]) => ms >= 2 * size) ?? ['s', 1000]
  return `${Math.round(ms / size)} ${unit}`
}

function formatBudget(budget: NonNullable<RuleReportJson['budget']>): string {
  const per = formatDurationUs(budget.per_ms * 1000)
  const verdict = budget.is_kept ? 'kept' : 'EXCEEDED'
  const from = new Date(budget.most_from).toISOString().slice(0, 16)
  return `budget of ${budget.alerts} per ${per} ${verdict}: at most ${budget.most} (from ${from}Z)`
}

const range = (days: RuleReportJson['days']): string => {
  const day = (at: number): string => new Date(days.at(at)?.start ?? 0).toISOString().slice(0, 10)
  return `${day(0)} to ${day(-1)}, at most ${Math.max(...days.map(({ alerts }) => alerts))}`
}

const BARS = '▁▂▃▄▅▆▇█'
const COLUMNS_MAX = 60

/** A bar a day, or of some days when there are many; a day without is a dot. */
export function sparkline(values: readonly number[]): string {
  const width = Math.ceil(values.length / COLUMNS_MAX)
  const columns = Array.from({ length: Math.ceil(values.length / width) }, (_, at) =>
    values.slice(at * width, (at + 1) * width).reduce((sum, value) => sum + value, 0),
  )
  const most = Math.max(...columns)
  return columns
    .map((value) => (value === 0 ? '·' : BARS[Math.ceil((value / most) * BARS.length) - 1]))
    .join('')
}
