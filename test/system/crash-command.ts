/**
 * `npm run crash -- --rounds 200 [--seed S]`: the crash test as long as you like, with progress.
 * What it found is written to test/system/results/crash.json, in the shape of the benchmarks'
 * results; a failure is written too, and ends the command with code 1.
 */
import { numberFlag, Reporter } from '../../bench/report.ts'
import { runCrashes } from './crash-run.ts'
import { makeFolder } from './weir-process.ts'

const rounds = numberFlag('rounds', 200)
const seed = numberFlag('seed', Date.now() % 1_000_000)

const reporter = new Reporter(
  'crash',
  'kill -9 under load: acknowledged readings that are lost, doubled or miscounted',
  new URL('./results/', import.meta.url),
)
const cleanups: (() => Promise<void>)[] = []
const folder = await makeFolder({ after: (clean) => void cleanups.push(clean) })
const startMs = performance.now()
try {
  const totals = await runCrashes({ folder, rounds, seed, say: (line) => console.log(line) })
  reporter.add('kill -9', totals.kills, 'kills')
  reporter.add('kills before the server was ready', totals.killsBeforeReady, 'kills')
  reporter.add('messages acknowledged', totals.messages, 'messages')
  reporter.add('repeats sent on purpose', totals.repeats, 'messages')
  reporter.add('broken messages, kept as dead letters', totals.refused, 'messages')
  reporter.add('series compared reading by reading', totals.seriesCompared, 'series')
  reporter.add('lost, doubled or miscounted', 0, 'readings')
} catch (error) {
  reporter.note(`FAILED: ${String(error).slice(0, 2000)}`)
  console.error(error)
  process.exitCode = 1
}
reporter.add('duration', (performance.now() - startMs) / 1000, 's')
reporter.note(`seed ${seed}`)
for (const clean of cleanups) await clean()
reporter.finish()
// A device that was given up may still be dialling.
process.exit()
