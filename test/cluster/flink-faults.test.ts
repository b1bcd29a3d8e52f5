/**
 * Everything is right behind each fault, on a cluster whose stream stage is a job of Flink, under
 * load: see `flink-faults.ts`. Each test says in its diagnostic line what it saw. Those that take
 * the most apart; with WEIR_FAULTS=all, as with `npm run cluster:faults:flink`, all there are.
 */
import { test } from 'node:test'
import { skip } from './cluster-process.ts'
import { FAULTS, hurtFlink, type FaultName } from './flink-faults.ts'

const TIMEOUT_MS = 290_000
const OPTIONS = { steadyMs: 5000, awayMs: 15_000, isWorse: false }

const OFTEN: readonly FaultName[] = [
  ...(['a TaskManager dies', 'the JobManager dies, and the role finds the job absent'] as const),
  ...(['the job is upgraded', 'everything dies, and the role goes on with the job'] as const),
]
const isAll = process.env['WEIR_FAULTS'] === 'all'

for (const name of isAll ? (Object.keys(FAULTS) as FaultName[]) : OFTEN) {
  test(name, { skip, timeout: TIMEOUT_MS }, async (t) => {
    t.diagnostic(JSON.stringify(await hurtFlink(t, name, OPTIONS)))
  })
}
