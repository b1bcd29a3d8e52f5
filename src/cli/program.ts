/** The command line: one file per command, one place that turns errors into exit codes. */
import { Command, CommanderError } from 'commander'
import { addAlerts } from './alerts-command.ts'
import { addCompletion } from './completion.ts'
import { addConfig } from './config-command.ts'
import { addDemo } from './demo.ts'
import { exitCodeOf, printFailure } from './failure.ts'
import { addFlink } from './flink.ts'
import { addBackup, addRestore } from './backup-command.ts'
import { addErasure } from './erasure-command.ts'
import { addLake } from './lake.ts'
import { addSql } from './sql-command.ts'
import { addStorage } from './storage-command.ts'
import { addPartitions } from './partitions.ts'
import { addPipeline } from './pipeline-command.ts'
import { addQuery } from './query.ts'
import { addRecipients } from './recipients-command.ts'
import { addReplay } from './replay.ts'
import { addRules } from './rules-command.ts'
import { addSend } from './send.ts'
import { addSignIn } from './sign-in.ts'
import { addSilences } from './silences-command.ts'
import { addSimulate } from './simulate.ts'
import { addStart } from './start.ts'
import { addStores } from './stores.ts'

const OVERVIEW = `
First steps:
  weir demo                         a dashboard with a simulated fleet, in one command
  weir start --data ./weir-data     the pipeline alone
  weir COMMAND --help               flags and examples

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 cannot start here,
4 the disk failed, 5 not allowed, 6 no server there.`

function buildProgram(): Command {
  const program = new Command('weir')
    .description(
      'An open IoT data pipeline: durable, windowed, queryable and drawn, in one process',
    )
    .version('0.1.0')
    .addHelpText('after', OVERVIEW)
    .showHelpAfterError('Add --help for flags and examples.')
    .configureHelp({ sortOptions: true })
    // A command's flags stand behind its name; commands below one may have flags of the same names.
    .enablePositionalOptions()
  for (const add of [
    addStart,
    addDemo,
    addSimulate,
    addSend,
    addQuery,
    addReplay,
    addAlerts,
    addRecipients,
    addSilences,
    addConfig,
    addPipeline,
    addRules,
    addLake,
    addSql,
    addStorage,
    addErasure,
    addBackup,
    addRestore,
    addFlink,
    addStores,
    addPartitions,
    addSignIn,
    addCompletion,
  ])
    add(program)
  overrideExits(program)
  return program
}

/** Commander would end the process itself with exit code 1, also for wrong usage. */
function overrideExits(command: Command): void {
  command.exitOverride()
  for (const child of command.commands) overrideExits(child)
}

try {
  await buildProgram().parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2
  } else {
    printFailure(error)
    // A command that failed is over, whatever timer or thread of a half-done start is left.
    process.exit(exitCodeOf(error))
  }
}
