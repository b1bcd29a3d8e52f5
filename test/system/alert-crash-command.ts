/**
 * `npm run crash:alerts -- --rounds 200 [--seed S]`: with progress. What it found is written to
 * test/system/results/alert-crash.json; a failure is written too, and ends it with code 1.
 */
import { numberFlag, Reporter } from '../../bench/report.ts'
import { runAlertCrashes } from './alert-crash-run.ts'
import { makeFolder } from './weir-process.ts'

const rounds = numberFlag('rounds', 200)
const seed = numberFlag('seed', Date.now() % 1_000_000)

const reporter = new Reporter(
  'alert-crash',
  'kill -9 between readings and webhooks: episodes and notifications lost, doubled or invented',
  new URL('./results/', import.meta.url),
)
const cleanups: (() => Promise<void>)[] = []
const folder = await makeFolder({ after: (clean) => void cleanups.push(clean) })
try {
  const say = (line: string): void => console.log(line)
  const totals = await runAlertCrashes({ folder, rounds, seed, say })
  reporter.add('kill -9', totals.kills, 'kills')
  reporter.add('episodes, each once in the history', totals.episodes, 'episodes')
  reporter.add('alerts, each told under one key', totals.alerts, 'alerts')
  reporter.add('webhooks received', totals.webhooks, 'webhooks')
  reporter.add('of them repeats with the same key', totals.repeats, 'webhooks')
  reporter.add('lost, doubled or invented', 0, 'episodes')
} catch (error) {
  reporter.note(`FAILED: ${String(error).slice(0, 2000)}`)
  console.error(error)
  process.exitCode = 1
}
reporter.note(`seed ${seed}`)
for (const clean of cleanups) await clean()
reporter.finish()
process.exit()
