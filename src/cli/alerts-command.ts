/** `weir alerts`: what fires, and what somebody does about it. */
import { userInfo } from 'node:os'
import { Option, type Command } from 'commander'
import { clientOf } from './connection-flags.ts'
import {
  addDeskFlags,
  pathOf,
  printJson,
  printTable,
  timeOf,
  type DeskFlags,
} from './desk-output.ts'
import { numberBetween } from './failure.ts'
import { printable } from './printable.ts'

interface Alert {
  id: string
  device_id: string
  rule_id: string
  severity: string
  state: string
  triggered_at: number
  resolved_at: number | null
  occurrences: number
  acknowledged: { by: string } | null
  reason: { condition: string; value?: number; unit?: string }
}

interface AlertWithHistory extends Alert {
  history: { at: number; what: string; by?: string; text?: string }[]
  deliveries: {
    created_at: number
    recipient_id: string
    channel: string
    change: string
    state: string
    problem: string | null
  }[]
}

interface ListFlags extends DeskFlags {
  device?: string
  rule?: string
  state?: string
  severity?: string
  limit: number
}

const EXAMPLES = `
Examples:
  weir alerts list --state firing
  weir alerts acknowledge ID --note "on my way"
  weir alerts snooze ID --for 2h`

export function addAlerts(program: Command): void {
  const alerts = program
    .command('alerts')
    .description('what fires, and what is done about it')
    .addHelpText('after', EXAMPLES)
  const list = alerts
    .command('list')
    .description('the newest first')
    .option('--device <id>', 'of this device')
    .option('--rule <id>', 'of this rule')
    .addOption(new Option('--state <state>', 'in this state').choices(['firing', 'resolved']))
    .option('--severity <name>', 'of this severity')
    .option('--limit <n>', 'how many', numberBetween(1, 1000), 100)
  addDeskFlags(list).action(listAlerts)
  addDeskFlags(
    alerts.command('show').description('one, with its history').argument('<id>', 'id of the alert'),
  ).action(show)
  addActions(alerts)
}

interface ActionFlags extends DeskFlags {
  by: string
}

function addActions(alerts: Command): void {
  const action = (name: string, description: string): Command =>
    addDeskFlags(
      alerts.command(name).description(description).argument('<id>', 'id of the alert'),
    ).option('--by <name>', 'who does it, for the history', userInfo().username)
  action('acknowledge', 'say that somebody deals with it: nobody else is told')
    .option('--note <text>', 'for the history')
    .action((id: string, { note, ...flags }: ActionFlags & { note?: string }) =>
      act({ id, verb: 'acknowledge', body: { note } }, flags),
    )
  action('snooze', 'tell nobody of it for a while, unless it becomes graver')
    .requiredOption('--for <duration>', 'how long, such as 30m or 2h')
    .action((id: string, { for: duration, ...flags }: ActionFlags & { for: string }) =>
      act({ id, verb: 'snooze', body: { for: duration } }, flags),
    )
  action('wake', 'end its snooze').action((id: string, flags: ActionFlags) =>
    act({ id, verb: 'wake', body: {} }, flags),
  )
  action('note', 'add a note to its history')
    .argument('<text>', 'the note')
    .action((id: string, text: string, flags: ActionFlags) =>
      act({ id, verb: 'notes', body: { text } }, flags),
    )
}

async function act(
  { id, verb, body }: { id: string; verb: string; body: object },
  flags: ActionFlags,
): Promise<void> {
  const text = JSON.stringify({ ...body, by: flags.by })
  const answer = await clientOf(flags).post(`${pathOf('/v1/alerts', id)}/${verb}`, text)
  if (flags.json === true) printJson(answer.body)
  else printAlerts([answer.body as Alert])
}

async function listAlerts(flags: ListFlags): Promise<void> {
  const { device: device_id, rule: rule_id, state, severity, limit } = flags
  const asked = { device_id, rule_id, state, severity, limit }
  const { alerts } = await clientOf(flags).get<{ alerts: Alert[] }>('/v1/alerts', asked)
  if (flags.json === true) printJson(alerts)
  else printAlerts(alerts)
}

async function show(id: string, flags: DeskFlags): Promise<void> {
  const alert = await clientOf(flags).get<AlertWithHistory>(pathOf('/v1/alerts', id))
  if (flags.json === true) return printJson(alert)
  printAlerts([alert])
  const { condition, value, unit = '' } = alert.reason
  const shown = value === undefined ? '' : ` (${value} ${unit}`.trimEnd() + ')'
  console.log(printable(`\n${condition}${shown}, ${alert.occurrences} times`.slice(1)))
  console.log()
  printTable(
    ['TIME', 'WHAT', 'BY', 'TEXT'],
    alert.history.map(({ at, what, by = '', text = '' }) => [timeOf(at), what, by, text]),
  )
  if (alert.deliveries.length === 0) return
  console.log()
  printTable(
    ['TIME', 'RECIPIENT', 'CHANNEL', 'WHY', 'STATE', 'PROBLEM'],
    alert.deliveries.map((one) => [
      ...[timeOf(one.created_at), one.recipient_id, one.channel, one.change, one.state],
      one.problem ?? '',
    ]),
  )
}

function printAlerts(alerts: readonly Alert[]): void {
  printTable(
    ['TRIGGERED', 'STATE', 'SEVERITY', 'DEVICE', 'RULE', 'ACKNOWLEDGED', 'ID'],
    alerts.map((alert) => [
      ...[timeOf(alert.triggered_at), alert.state, alert.severity, alert.device_id],
      ...[alert.rule_id, alert.acknowledged?.by ?? '', alert.id],
    ]),
  )
}
