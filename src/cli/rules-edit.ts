/** `weir rules list|show|put|delete`: rules of a server, edited while it runs. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { parse, stringify } from 'yaml'
import { WeirError } from '../errors/errors.ts'
import { clientOf } from './connection-flags.ts'
import {
  addDeskFlags,
  listAll,
  pathOf,
  printJson,
  printTable,
  type DeskFlags,
} from './desk-output.ts'
import { printableLines } from './printable.ts'

interface Rule {
  id: string
  source: string
  revision: number | null
  severity?: string
  when?: string
  silent?: { interval: string; count: number }
}

const PUT_EXAMPLES = `
The file has one rule with its id, or a list of them, in YAML or JSON, as in a pipeline definition.
A revision in it (show prints it) says that the rule must still be that one.

Examples:
  weir rules show hot > hot.yaml
  weir rules put hot.yaml`

export function addRulesEdit(rules: Command): void {
  addDeskFlags(rules.command('list').description('rules of the server')).action(list)
  addDeskFlags(
    rules.command('show').description('one rule, in YAML').argument('<id>', 'id of the rule'),
  ).action(show)
  addDeskFlags(
    rules
      .command('put')
      .description('make or change rules')
      .argument('<file>', 'rule in YAML or JSON')
      .addHelpText('after', PUT_EXAMPLES),
  ).action(put)
  addDeskFlags(
    rules.command('delete').description('remove a rule').argument('<id>', 'id of the rule'),
  ).action(remove)
}

async function list(flags: DeskFlags): Promise<void> {
  const rules = await listAll<Rule>(clientOf(flags), '/v1/rules', 'rules')
  if (flags.json === true) return printJson(rules)
  printTable(
    ['ID', 'SOURCE', 'REVISION', 'SEVERITY', 'CONDITION'],
    rules.map((rule) => [
      ...[rule.id, rule.source, String(rule.revision ?? ''), rule.severity ?? ''],
      rule.when ?? `silent for ${rule.silent?.count} × ${rule.silent?.interval}`,
    ]),
  )
}

async function show(id: string, flags: DeskFlags): Promise<void> {
  const rule = await clientOf(flags).get<Rule>(pathOf('/v1/rules', id))
  if (flags.json === true) return printJson(rule)
  console.log(printableLines(stringify(rule).trimEnd()))
}

async function put(file: string, flags: DeskFlags): Promise<void> {
  const client = clientOf(flags)
  const answers: Rule[] = []
  for (const rule of await rulesOf(file)) {
    const { revision } = rule
    const headers = revision == null ? {} : { 'if-match': `"${revision}"` }
    const path = pathOf('/v1/rules', rule.id)
    answers.push((await client.put(path, JSON.stringify(rule), headers)).body as Rule)
  }
  if (flags.json === true) return printJson(answers)
  for (const { id, revision } of answers) console.log(`${id} has revision ${revision}.`)
}

async function rulesOf(file: string): Promise<Rule[]> {
  let value: unknown
  try {
    value = parse(await readFile(file, 'utf8'))
  } catch (cause) {
    throw new WeirError('CLI_USAGE_INVALID', `${file}: ${(cause as Error).message}`, { cause })
  }
  const listed = (value as { rules?: unknown } | null)?.rules ?? value
  const rules = (Array.isArray(listed) ? listed : [listed]) as (Partial<Rule> | null)[]
  for (const rule of rules)
    if (typeof rule?.id !== 'string')
      throw new WeirError('CLI_USAGE_INVALID', `${file}: a rule has no id`)
  return rules as Rule[]
}

async function remove(id: string, flags: DeskFlags): Promise<void> {
  await clientOf(flags).delete(pathOf('/v1/rules', id))
  if (flags.json !== true) console.log(`${id} is removed.`)
}
