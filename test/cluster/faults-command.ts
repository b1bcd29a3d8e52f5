/**
 * `npm run cluster:faults -- --kills 50 [--seconds 45]`: processes of a cluster are killed so
 * often, PostgreSQL and each of three brokers once, Kafka is away so long, and a gateway dies with
 * 2,000 connections, with progress; services run already (`cluster:up -- --brokers 3`). What was
 * found is written to test/cluster/results/faults.json; a failure is written too, and ends the
 * command with code 1.
 */
import { numberFlag, Reporter } from '../../bench/report.ts'
import { skip } from './cluster-process.ts'
import { accessOf } from './cluster.ts'
import { CONNECTIONS, gatewayDies, SERVED_MS_MAX } from './gateway-dies.ts'
import { killAgainAndAgain, VICTIMS } from './killing.ts'
import { kafkaAway } from './kafka-away.ts'
import type { LoadTotals } from './numbered-load.ts'
import { eachBrokerDies, postgresDies } from './services-die.ts'

const kills = numberFlag('kills', 50)
const seconds = numberFlag('seconds', 45)
const brokers = (accessOf('kafka')?.['brokers'] ?? '').split(',').length
const LOAD = { devices: 8, everyMs: 50 }

if (skip !== undefined) {
  console.error(skip)
  process.exit(2)
}
const reporter = new Reporter(
  'faults',
  'kill -9 in a cluster under load: acknowledged readings that are lost, doubled or miscounted',
  new URL('./results/', import.meta.url),
)
const cleanups: (() => Promise<void>)[] = []
const owner = { after: (clean: () => Promise<void>) => void cleanups.push(clean) }
const clean = async (): Promise<void> => {
  for (const one of cleanups.splice(0)) await one()
}
const addTotals = (name: string, { acknowledged, longestPauseMs, windows }: LoadTotals): void => {
  reporter.add(`${name}: acknowledged`, acknowledged, 'readings')
  reporter.add(`${name}: longest time without a PUBACK`, longestPauseMs, 'ms')
  reporter.add(`${name}: windows compared`, windows, 'windows')
}
const say = (line: string): void => console.log(line)
try {
  for (const victim of VICTIMS) {
    const totals = await killAgainAndAgain(owner, { victim, kills, load: LOAD, say })
    await clean()
    reporter.add(`${victim}: kill -9`, totals.kills, 'kills')
    addTotals(victim, totals)
  }
  addTotals('PostgreSQL killed and back', await postgresDies(owner, LOAD))
  await clean()
  if (brokers < 3) reporter.note('brokers were not killed one by one: cluster:up -- --brokers 3')
  else {
    addTotals(
      `each of ${brokers} brokers killed and back`,
      await eachBrokerDies(owner, LOAD, brokers),
    )
    await clean()
  }
  const totals = await kafkaAway(owner, { outageMs: seconds * 1000, load: LOAD })
  reporter.add('Kafka away', totals.awayMs / 1000, 's')
  reporter.add('Kafka away: acknowledged', totals.acknowledged, 'readings')
  reporter.add('Kafka away: from its answer to the first PUBACK', totals.resumedMs, 'ms')
  await clean()
  const death = await gatewayDies(owner, { connections: CONNECTIONS })
  reporter.add('gateway: connections open when it was killed', death.held, 'connections')
  reporter.add('gateway: until another had served the last', death.servedMs / 1000, 's')
  reporter.add('gateway: acknowledged', death.acknowledged, 'readings')
  if (death.servedMs >= SERVED_MS_MAX) throw new Error(`served after ${death.servedMs} ms`)
  reporter.add('lost, doubled or miscounted', 0, 'readings')
} catch (error) {
  reporter.note(`FAILED: ${String(error).slice(0, 2000)}`)
  console.error(error)
  process.exitCode = 1
}
await clean().catch(console.error)
reporter.finish()
// A device that was given up may still be dialling.
process.exit()
