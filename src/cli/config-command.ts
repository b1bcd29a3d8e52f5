/** `weir config`: what the configuration says, and whether it is right. */
import type { Command } from 'commander'
import { addSettingsFlags, loadSettings, type SettingsFlags } from './settings.ts'

const EXAMPLES = `
Examples:
  weir config check --config weir.yaml
  weir config print                     all keys with their defaults
  weir config print --config weir.yaml > complete.yaml`

export function addConfig(program: Command): void {
  const config = program
    .command('config')
    .description('check or print the configuration')
    .addHelpText('after', EXAMPLES)
  addSettingsFlags(config.command('check').description('exit code 0 when it is right')).action(
    async (flags: SettingsFlags) => {
      await loadSettings(flags)
      console.log('The configuration is right.')
    },
  )
  addSettingsFlags(
    config.command('print').description('every key with its value; secrets as ***'),
  ).action(async (flags: SettingsFlags) => {
    const { printConfig } = await import('../config/config.ts')
    console.log(printConfig(await loadSettings(flags)).trimEnd())
  })
}
