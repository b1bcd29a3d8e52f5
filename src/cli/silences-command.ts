/** `weir silences`: when nobody is told of alerts. */
import type { Command } from 'commander'
import { clientOf } from './connection-flags.ts'
import { addDeskFlags, listAll, pathOf, printJson, type DeskFlags } from './desk-output.ts'
import { printTable, timeOf } from './desk-output.ts'

interface Silence {
  id: string
  comment: string
  device_id?: string
  rule_id?: string
  severity?: string
  from: number
  until: number
}

interface AddFlags extends DeskFlags {
  device?: string
  rule?: string
  severity?: string
  for: string
  from?: string
  comment?: string
}

const ADD_EXAMPLES = `
Alerts that match are recorded all the same. What is left out matches all.

Examples:
  weir silences add --device pump-01 --for 2h --comment "new bearing"
  weir silences add --rule hot --from 2026-12-24T18:00:00+01:00 --for 12h`

export function addSilences(program: Command): void {
  const silences = program
    .command('silences')
    .addHelpText('after', ADD_EXAMPLES)
    .description('when nobody is told of alerts')
  addDeskFlags(silences.command('list').description('all of them')).action(list)
  const add = silences
    .command('add')
    .description('tell nobody of alerts that match')
    .option('--device <id>', 'of this device')
    .option('--rule <id>', 'of this rule')
    .option('--severity <name>', 'of this severity')
    .requiredOption('--for <duration>', 'how long, such as 30m or 2h')
    .option('--from <time>', 'when it begins, in RFC 3339; now without')
    .option('--comment <text>', 'why')
    .addHelpText('after', ADD_EXAMPLES)
  addDeskFlags(add).action(addOne)
  addDeskFlags(
    silences.command('delete').description('end one').argument('<id>', 'id of the silence'),
  ).action(remove)
}

async function list(flags: DeskFlags): Promise<void> {
  const silences = await listAll<Silence>(clientOf(flags), '/v1/silences', 'silences')
  if (flags.json === true) return printJson(silences)
  printTable(
    ['ID', 'FROM', 'UNTIL', 'DEVICE', 'RULE', 'SEVERITY', 'COMMENT'],
    silences.map((one) => [
      ...[one.id, timeOf(one.from), timeOf(one.until), one.device_id ?? '', one.rule_id ?? ''],
      ...[one.severity ?? '', one.comment],
    ]),
  )
}

async function addOne(flags: AddFlags): Promise<void> {
  const { device: device_id, rule: rule_id, severity, from, comment } = flags
  const body = JSON.stringify({ device_id, rule_id, severity, from, comment, for: flags.for })
  const made = (await clientOf(flags).post('/v1/silences', body)).body as Silence
  if (flags.json === true) printJson(made)
  else console.log(`${made.id} is there until ${timeOf(made.until)}.`)
}

async function remove(id: string, flags: DeskFlags): Promise<void> {
  await clientOf(flags).delete(pathOf('/v1/silences', id))
  if (flags.json !== true) console.log(`${id} has ended.`)
}
