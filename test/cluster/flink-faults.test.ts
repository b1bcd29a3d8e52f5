/**
 * Everything is right behind each fault, on a cluster whose stream stage is a job of Flink, under
 * load: see `flink-faults.ts`. Each test says in its diagnostic line what it saw.
 */
import { test } from 'node:test'
import { skip } from './cluster-process.ts'
import { FAULTS, hurtFlink, type FaultName } from './flink-faults.ts'
import { skip as skipWithoutFlink } from './flink-fixture.ts'

const TIMEOUT_MS = 290_000
const OPTIONS = { steadyMs: 5000, awayMs: 15_000, isWorse: false }

for (const name of Object.keys(FAULTS) as FaultName[]) {
  test(name, { skip: skip ?? skipWithoutFlink, timeout: TIMEOUT_MS }, async (t) => {
    t.diagnostic(JSON.stringify(await hurtFlink(t, name, OPTIONS)))
  })
}
