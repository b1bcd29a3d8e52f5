/** `weir stores accept`: another list of `postgres.stores` for the whole installation. */
import type { Command } from 'commander'
import { loadSettings } from './settings.ts'

const EXAMPLES = `
Stop writer and control first, and start them with the new list afterwards. What the stores hold is
moved nowhere: docs/cluster.md says what becomes of it.

Examples:
  weir stores accept --config cluster.yaml`

export function addStores(program: Command): void {
  program
    .command('stores')
    .description('which PostgreSQL has which devices')
    .addHelpText('after', EXAMPLES)
    .command('accept')
    .description('make the configuration’s postgres.stores the list of the installation')
    .option('--config <file>', 'configuration in YAML, with the new list')
    .addHelpText('after', EXAMPLES)
    .action(accept)
}

async function accept(flags: { config?: string }): Promise<void> {
  const config = await loadSettings(flags)
  // Loaded here, so that other commands do not pay for it.
  const { acceptStores } = await import('../cluster/store-guard.ts')
  const { before, now } = await acceptStores(config)
  console.log(`The installation has ${now} from now on; before: ${before ?? 'no list'}.`)
}
