/**
 * `npm run cluster:faults:flink -- --seconds 60`: everything that `flink-faults.ts` can do to a
 * cluster with a job of Flink, one after the other, with checkpoints away so long and a TaskManager
 * killed meanwhile; services run already (`cluster:up -- kafka postgres redis flink`, with
 * `--brokers 3` for one of three that dies). What was found is written to
 * test/cluster/results/flink-faults.json; a failure is written too, and ends the command with
 * code 1.
 */
import { numberFlag, Reporter } from '../../bench/report.ts'
import { skip } from './cluster-process.ts'
import { brokerCount, FAULTS, hurtFlink, type FaultName } from './flink-faults.ts'

const seconds = numberFlag('seconds', 60)
const STEADY_MS = 15_000

if (skip !== undefined) {
  console.error(skip)
  process.exit(2)
}
const reporter = new Reporter(
  'flink-faults',
  'faults of a cluster with a job of Flink: readings, windows and events lost, doubled or wrong',
  new URL('./results/', import.meta.url),
)
reporter.note(`${brokerCount()} brokers; checkpoints away for ${seconds} s, a TaskManager killed`)
const cleanups: (() => Promise<void>)[] = []
const owner = { after: (clean: () => Promise<void>) => void cleanups.push(clean) }
for (const name of Object.keys(FAULTS) as FaultName[]) {
  try {
    const found = await hurtFlink(owner, name, {
      ...{ steadyMs: STEADY_MS, awayMs: seconds * 1000, isWorse: true },
    })
    reporter.add(`${name}: acknowledged`, found.readings, 'readings')
    reporter.add(`${name}: until all went its way again`, found.againMs / 1000, 's')
    reporter.add(`${name}: longest time without a PUBACK`, found.longestPauseMs, 'ms')
    reporter.add(`${name}: messages that came again`, found.repeats, 'messages')
    reporter.add(`${name}: messages compared`, found.messages, 'messages')
    reporter.add(`${name}: partials compared`, found.partials, 'partials')
    reporter.add(`${name}: windows compared`, found.windows, 'windows')
    reporter.add(`${name}: events compared`, found.events, 'events')
    reporter.add(`${name}: episodes compared`, found.episodes, 'episodes')
    reporter.add(`${name}: lost, doubled or wrong`, 0, 'entries')
  } catch (error) {
    reporter.note(`FAILED ${name}: ${String(error).slice(0, 2000)}`)
    console.error(error)
    process.exitCode = 1
  }
  // Services run again behind it.
  for (const clean of cleanups.splice(0)) await clean().catch(console.error)
}
reporter.finish()
// A device that was given up may still be dialling.
process.exit()
