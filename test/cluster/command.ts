/**
 * `npm run cluster:up|down|status`: real services on loopback, for tests and for trying things.
 */
import { parseArgs } from 'node:util'
import { down, STATE_FILE, status, up } from './cluster.ts'

const HELP = `Usage: npm run -s cluster:up -- [SERVICE ...] [--brokers 1|3]
       npm run -s cluster:status
       npm run -s cluster:down -- [SERVICE ...]

SERVICE is kafka, postgres, timescaledb, redis, minio, influxdb, questdb, victoriametrics, moto,
trino or flink.
up starts what does not run yet, without names all but trino (820 MB to download, half a minute on
two cores), and prints the path of cluster.json, which has addresses, passwords and pids, and which
only you can read. down stops them, without names all, by pid and removes their data. What is
downloaded is kept in WEIR_CLUSTER_CACHE, or in your cache folder.
`

const say = (line: string): void => console.error(line)

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    brokers: { type: 'string', default: '1' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const [verb, ...names] = positionals
const brokers = Number(values.brokers)

if (values.help) console.log(HELP)
else if (verb === 'up' && (brokers === 1 || brokers === 3)) {
  const missing = await up(names, { brokers, say })
  for (const [name, reason] of missing) say(`${name} is left out: ${reason}`)
  if (names.length > 0 && missing.size > 0) process.exitCode = 1
  console.log(STATE_FILE)
} else if (verb === 'down') await down(names, say)
else if (verb === 'status') status((line) => console.log(line))
else {
  console.error(HELP)
  process.exitCode = 2
}
