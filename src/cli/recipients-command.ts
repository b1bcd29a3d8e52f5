/** `weir recipients`: who is told of alerts. */
import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { WeirError } from '../errors/errors.ts'
import { clientOf } from './connection-flags.ts'
import { addDeskFlags, collect, listAll, pathOf, type DeskFlags } from './desk-output.ts'
import { printJson, printTable } from './desk-output.ts'

interface Recipient {
  id: string
  name: string
  channels: { type: string; url?: string; to?: string }[]
  severities?: string[]
  rate_limit?: { messages: number; per: string }
}

interface AddFlags extends DeskFlags {
  id?: string
  webhook?: string[]
  slack?: string[]
  email?: string[]
  severity?: string[]
  rule?: string[]
  rate?: string
  ends?: boolean
}

const SECRET_BYTES = 32

const ADD_EXAMPLES = `
A webhook's messages are signed with the secret of WEIR_WEBHOOK_SECRET; without, one is made and
printed, this once. What else a recipient can have is in docs/api.md.

Examples:
  weir recipients add me --email me@example.org --severity critical --rate 5/1m
  weir recipients add desk --webhook https://desk.example.org/weir`

export function addRecipients(program: Command): void {
  const recipients = program
    .command('recipients')
    .addHelpText('after', ADD_EXAMPLES)
    .description('who is told of alerts')
  addDeskFlags(recipients.command('list').description('all of them')).action(list)
  const add = recipients
    .command('add')
    .description('tell somebody')
    .argument('<name>', 'for people')
    .option('--id <id>', 'of your choice, such as rules name it')
    .option('--webhook <url>', 'signed POST of JSON', collect)
    .option('--slack <url>', 'incoming webhook of Slack', collect)
    .option('--email <address>', 'one mailbox', collect)
    .option('--severity <name>', 'only of this severity; several times for several', collect)
    .option('--rule <id>', 'only of this rule; several times for several', collect)
    .option('--rate <n/duration>', 'at most so many messages, such as 5/1m; beyond it a digest')
    .option('--ends', 'also when an alert ends')
    .addHelpText('after', ADD_EXAMPLES)
  addDeskFlags(add).action(addOne)
  const one = (name: string, description: string): Command =>
    addDeskFlags(
      recipients.command(name).description(description).argument('<id>', 'id of the recipient'),
    )
  one('delete', 'tell somebody no more').action(remove)
  one('test', 'send a message that says that it is a test').action(test)
}

async function list(flags: DeskFlags): Promise<void> {
  const recipients = await listAll<Recipient>(clientOf(flags), '/v1/recipients', 'recipients')
  if (flags.json === true) return printJson(recipients)
  printTable(
    ['ID', 'NAME', 'CHANNELS', 'SEVERITIES', 'RATE'],
    recipients.map(({ id, name, channels, severities = [], rate_limit: rate }) => [
      ...[id, name, channels.map(({ type }) => type).join(', '), severities.join(', ')],
      rate === undefined ? '' : `${rate.messages}/${rate.per}`,
    ]),
  )
}

async function addOne(name: string, flags: AddFlags): Promise<void> {
  const client = clientOf(flags)
  const secret =
    process.env['WEIR_WEBHOOK_SECRET'] ?? randomBytes(SECRET_BYTES).toString('base64url')
  const channels = [
    ...(flags.webhook ?? []).map((url) => ({ type: 'webhook', url, secret })),
    ...(flags.slack ?? []).map((url) => ({ type: 'slack', url })),
    ...(flags.email ?? []).map((to) => ({ type: 'email', to })),
  ]
  const body = JSON.stringify({
    ...{ name, channels, severities: flags.severity, rules: flags.rule },
    ...(flags.rate !== undefined && { rate_limit: rateOf(flags.rate) }),
    told_of_ends: flags.ends,
  })
  const { id } = flags
  const answer =
    id === undefined
      ? await client.post('/v1/recipients', body)
      : await client.put(pathOf('/v1/recipients', id), body, { 'if-none-match': '*' })
  const made = answer.body as Recipient
  const isMade = flags.webhook !== undefined && process.env['WEIR_WEBHOOK_SECRET'] === undefined
  const shown = isMade ? { secret } : {}
  if (flags.json === true) return printJson({ ...made, ...shown })
  console.log(`${made.id} is told from now on.`)
  if (isMade) console.log(`The secret of its webhook, shown this once: ${secret}`)
}

function rateOf(text: string): { messages: number; per: string } {
  const [, messages, per] = /^(\d+)\/(\w+)$/.exec(text) ?? []
  if (messages !== undefined && per !== undefined) return { messages: Number(messages), per }
  throw new WeirError('CLI_USAGE_INVALID', `--rate: "${text}" is not like 5/1m`)
}

async function remove(id: string, flags: DeskFlags): Promise<void> {
  await clientOf(flags).delete(pathOf('/v1/recipients', id))
  if (flags.json !== true) console.log(`${id} is told no more.`)
}

async function test(id: string, flags: DeskFlags): Promise<void> {
  await clientOf(flags).post(`${pathOf('/v1/recipients', id)}/test`, '')
  if (flags.json !== true) console.log('All receivers took it.')
}
