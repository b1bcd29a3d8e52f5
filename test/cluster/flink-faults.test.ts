/**
 * Everything is right behind each fault, on a cluster whose stream stage is a job of Flink, under
 * load: see `flink-faults.ts`. Each test says in its diagnostic line what it saw. The one that
 * takes the most apart; with WEIR_FAULTS=all, as with `npm run cluster:faults:flink`, all there
 * are.
 */
import { test } from 'node:test'
import { skip } from './cluster-process.ts'
import { FAULTS, hurtFlink, type FaultName } from './flink-faults.ts'

const TIMEOUT_MS = 290_000
const OPTIONS = { steadyMs: 5000, awayMs: 15_000, isWorse: false }

/** Each of its parts dies in it. */
const OFTEN: readonly FaultName[] = ['everything dies, and the role goes on with the job']
const isAll = process.env['WEIR_FAULTS'] === 'all'

for (const name of isAll ? (Object.keys(FAULTS) as FaultName[]) : OFTEN) {
  test(name, { skip, timeout: TIMEOUT_MS }, async (t) => {
    t.diagnostic(JSON.stringify(await hurtFlink(t, name, OPTIONS)))
  })
}
