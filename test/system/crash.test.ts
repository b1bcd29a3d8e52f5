/**
 * `kill -9` under load, 25 times; `npm run crash -- --rounds 200` is the long run.
 *
 * WEIR_CRASH_SEED repeats a run's load and moments of death, as far as the machine's own timing
 * allows; WEIR_CRASH_ROUNDS makes it longer.
 */
import { test } from 'node:test'
import { runCrashes } from './crash-run.ts'
import { makeFolder } from './weir-process.ts'

const ROUNDS = Number(process.env['WEIR_CRASH_ROUNDS'] ?? 25)
const SEED = Number(process.env['WEIR_CRASH_SEED'] ?? Date.now() % 1_000_000)

const NAME = `${ROUNDS} kills under load lose, double and miscount nothing (seed ${SEED})`

test(NAME, { timeout: 60_000 + ROUNDS * 10_000 }, async (t) => {
  t.diagnostic(`seed ${SEED}`)
  const folder = await makeFolder(t)
  const totals = await runCrashes({ folder, rounds: ROUNDS, seed: SEED, say: () => {} })
  t.diagnostic(JSON.stringify(totals))
})
