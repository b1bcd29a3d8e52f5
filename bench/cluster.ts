/**
 * How fast does a cluster go when all of it (generator, role, broker, database) is on this machine?
 * Readings from devices into Kafka by the gateway, from Kafka into PostgreSQL by the writer, and
 * from devices through gateway, stream and lake into an object store.
 */
import { loadavg } from 'node:os'
import { measureGateway } from './cluster-gateway.ts'
import { measureLake } from './cluster-lake.ts'
import { missingServices } from './cluster-place.ts'
import { measureWriter } from './cluster-writer.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'

const RUNS = numberFlag('runs', isQuick ? 1 : 3)
const SECONDS = numberFlag('seconds', isQuick ? 8 : 30)
const LAKE_SECONDS = numberFlag('lake-seconds', isQuick ? 3 : 15)
const DEVICES = numberFlag('devices', isQuick ? 2000 : 10_000)
const ROWS = numberFlag('rows', isQuick ? 1_000_000 : 100_000_000)
const READINGS = numberFlag('readings', isQuick ? 1_500_000 : 15_000_000)
const PARTS = ['gateway', 'writer', 'lake'].filter(
  (part) => !process.argv.includes('--part') || process.argv.includes(part),
)

const reporter = new Reporter('cluster', 'a cluster on one machine, role by role')
const missing = missingServices([
  'kafka',
  'postgres',
  ...(PARTS.includes('lake') ? ['minio', 'flink'] : []),
])
if (missing.length > 0) {
  reporter.note(`left out: ${missing.join(' and ')} does not run (npm run cluster:up)`)
} else {
  for (let run = 0; run < RUNS && PARTS.includes('gateway'); run++) {
    await measureGateway(reporter, { devices: DEVICES, seconds: SECONDS })
  }
  if (PARTS.includes('writer')) {
    await measureWriter(reporter, { devices: DEVICES, rows: ROWS, readings: READINGS })
  }
  for (let run = 0; run < RUNS && PARTS.includes('lake'); run++) {
    await measureLake(reporter, { devices: DEVICES, seconds: LAKE_SECONDS })
  }
  reporter.note(`load average ${loadavg()[0]!.toFixed(2)} at the end, this run's own in it`)
}
reporter.finish()
