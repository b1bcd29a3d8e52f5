/** `weir partitions grow`: more partitions for a cluster that runs. */
import type { Command } from 'commander'
import { numberBetween } from './failure.ts'
import { loadSettings } from './settings.ts'

/** More would cost brokers more than it gives. */
const PARTITIONS_MAX = 10_000

const EXAMPLES = `
Examples:
  weir partitions grow --to 32 --config cluster.yaml

The number must be a whole multiple of the present one. Nothing has to be stopped; all processes
must have this version. When it was cut off, give the same command again.`

export function addPartitions(program: Command): void {
  const partitions = program
    .command('partitions')
    .description('partitions of a cluster')
    .addHelpText('after', EXAMPLES)
  partitions
    .command('grow')
    .description('make more of them, in new topics, while everything runs')
    .requiredOption('--to <n>', 'how many there shall be', numberBetween(1, PARTITIONS_MAX))
    .requiredOption('--config <file>', 'configuration of the cluster, in YAML')
    .addHelpText('after', EXAMPLES)
    .action(grow)
}

async function grow({ to, config: file }: { to: number; config: string }): Promise<void> {
  const config = await loadSettings({ config: file })
  // Loaded here, so that other commands do not pay for it.
  const { growPartitions } = await import('../cluster/grow.ts')
  const { from, telemetry } = await growPartitions(config, to)
  console.log(`${from} → ${to} partitions; messages go to ${telemetry} from now on.`)
}
