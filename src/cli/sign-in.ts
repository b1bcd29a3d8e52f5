/** `weir sign-in`: the page's address with a one-time code, for a server without a terminal. */
import type { Command } from 'commander'
import { addConnectionFlags, clientOf, type ConnectionFlags } from './connection-flags.ts'

const EXAMPLES = `
The address opens the page once, within 10 minutes. Give the --url that your browser uses.

Examples:
  weir sign-in --key KEY
  weir sign-in --url https://weir.example.org --key KEY`

export function addSignIn(program: Command): void {
  const command = program
    .command('sign-in')
    .description('print an address that opens the page once')
  addConnectionFlags(command).addHelpText('after', EXAMPLES).action(signIn)
}

async function signIn(flags: ConnectionFlags): Promise<void> {
  const client = clientOf(flags)
  const { body } = await client.post('/v1/session/code', '{}')
  console.log(`${client.url}/?code=${(body as { code: string }).code}`)
}
