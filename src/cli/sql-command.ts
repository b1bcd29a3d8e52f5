/** `weir sql`: a statement over what a running server stores. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { clientOf } from './connection-flags.ts'
import { addDeskFlags, printJson, printTable, type DeskFlags } from './desk-output.ts'

interface Answer {
  columns: { name: string; type: string }[]
  rows: unknown[][]
}

const EXAMPLES = `
Views: telemetry (device_id, metric, ts, value, tags, text), aggregations, devices, alerts.

Examples:
  weir sql "SELECT device_id, max(value) FROM telemetry WHERE metric = 'temperature' GROUP BY 1"
  weir sql --json - < question.sql`

export function addSql(program: Command): void {
  const command = program
    .command('sql')
    .description('one SELECT over what is stored')
    .argument('<statement>', 'the statement; - reads it from stdin')
    .addHelpText('after', EXAMPLES)
  addDeskFlags(command).action(ask)
}

async function ask(statement: string, flags: DeskFlags): Promise<void> {
  const sql = statement === '-' ? readFileSync(0, 'utf8') : statement
  const { body } = await clientOf(flags).post('/v1/sql', JSON.stringify({ sql }))
  if (flags.json === true) return printJson(body)
  const { columns, rows } = body as Answer
  printTable(
    columns.map(({ name }) => name),
    rows.map((row) => row.map(textOf)),
  )
}

const textOf = (value: unknown): string =>
  value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value)
