/** `weir storage repair`: a lost or damaged catalogue is made again, the server being stopped. */
import type { Command } from 'commander'
import { printJson, printTable } from './desk-output.ts'
import { addSettingsFlags, loadSettings, type SettingsFlags } from './settings.ts'

const EXPLANATION = `
For a data folder whose catalogue.db is gone or damaged, while its server is stopped. It is made again
from segments, cold files and their manifests, with the same names and erasures; the old one stays
beside it. Windows of minutes are computed from readings from then on, and hours and days summed up
again in the background. Of anomalies and dead letters there are those that the damaged file still
says. If it is cut short, run it again.

Examples:
  weir storage repair --data /var/lib/weir
  weir storage repair --config weir.yaml`

export function addRepair(storage: Command): void {
  const command = storage
    .command('repair')
    .description('make a lost or damaged catalogue.db again, while the server is stopped')
    .option('--json', 'print JSON, for other programs')
  addSettingsFlags(command).addHelpText('after', EXPLANATION).action(repair)
}

async function repair(flags: SettingsFlags & { json?: boolean }): Promise<void> {
  const config = await loadSettings(flags)
  const { repairFolder } = await import('../embedded/repair-folder.ts')
  const done = await repairFolder(config)
  if (done.lost.length > 0) process.exitCode = 1
  if (flags.json === true) return printJson(done)
  if (done.isIntact) return console.log('The catalogue is intact: nothing was done.')
  const count = (number: number): string => number.toLocaleString('en')
  console.log(
    `The catalogue is made again: ${count(done.segments)} segments and ${count(done.coldFiles)} ` +
      `cold files with ${count(done.readings)} readings of ${count(done.series)} series, ` +
      `${count(done.erasures)} erasures, ${count(done.events)} anomalies and dead letters.`,
  )
  console.log(`The log goes on at offset ${done.nextOffset}.`)
  if (done.lost.length === 0) return
  console.log('\nWhat no answer holds any more:')
  printTable(
    ['FILE', 'PROBLEM'],
    done.lost.map(({ file, problem }) => [file, problem]),
  )
}
