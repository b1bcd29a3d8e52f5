/**
 * How fast does a cluster go when all of it (generator, role, broker, database) is on this machine?
 * Readings from devices into Kafka by the gateway, and from Kafka into PostgreSQL by the writer.
 */
import { loadavg } from 'node:os'
import { measureGateway } from './cluster-gateway.ts'
import { missingServices } from './cluster-place.ts'
import { measureWriter } from './cluster-writer.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'

const RUNS = numberFlag('runs', isQuick ? 1 : 3)
const SECONDS = numberFlag('seconds', isQuick ? 8 : 60)
const DEVICES = numberFlag('devices', isQuick ? 2000 : 10_000)
const ROWS = numberFlag('rows', isQuick ? 1_000_000 : 100_000_000)
const READINGS = numberFlag('readings', isQuick ? 1_500_000 : 15_000_000)
const PARTS = ['gateway', 'writer'].filter(
  (part) => !process.argv.includes('--part') || process.argv.includes(part),
)

const reporter = new Reporter('cluster', 'a cluster on one machine, role by role')
const missing = missingServices(['kafka', 'postgres'])
if (missing.length > 0) {
  reporter.note(`left out: ${missing.join(' and ')} does not run (npm run cluster:up)`)
} else {
  for (let run = 0; run < RUNS && PARTS.includes('gateway'); run++) {
    await measureGateway(reporter, { devices: DEVICES, seconds: SECONDS })
  }
  if (PARTS.includes('writer')) {
    await measureWriter(reporter, { devices: DEVICES, rows: ROWS, readings: READINGS })
  }
  reporter.note(`load average ${loadavg()[0]!.toFixed(2)} at the end, this run's own in it`)
}
reporter.finish()
