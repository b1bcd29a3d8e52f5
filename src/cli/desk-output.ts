/** What the commands of rules, alerts, recipients and silences print. */
import type { Command } from 'commander'
import { addConnectionFlags, type ConnectionFlags } from './connection-flags.ts'
import type { ApiClient } from './api-client.ts'
import { printable } from './printable.ts'

export interface DeskFlags extends ConnectionFlags {
  json?: boolean
}

/** The flags that all of them share. */
export function addDeskFlags(command: Command): Command {
  return addConnectionFlags(command.option('--json', 'print JSON, for other programs'))
}

/** Columns as wide as what is in them. */
export function printTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const lines = [headings, ...rows.map((row) => row.map(printable))]
  const widths = headings.map((_, at) => Math.max(...lines.map((line) => (line[at] ?? '').length)))
  for (const line of lines)
    console.log(
      line
        .map((text, at) => text.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
}

/** Escaped as JSON has it anyway, so it is the same document. */
export function printJson(value: unknown): void {
  for (const line of JSON.stringify(value, undefined, 2).split('\n')) console.log(printable(line))
}

export const timeOf = (ms: number | null): string => (ms === null ? '' : new Date(ms).toISOString())

/** All pages of a list. */
export async function listAll<Item>(client: ApiClient, path: string, key: string): Promise<Item[]> {
  const items: Item[] = []
  let after: string | undefined
  do {
    const page = await client.get<Record<string, unknown>>(path, { limit: 1000, after })
    items.push(...(page[key] as Item[]))
    after = (page['next'] as string | null) ?? undefined
  } while (after !== undefined)
  return items
}

export const pathOf = (list: string, id: string): string => `${list}/${encodeURIComponent(id)}`

/** For options that may be given several times. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value]
