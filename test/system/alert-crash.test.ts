/**
 * `kill -9` between readings and webhooks, 25 times; `npm run crash:alerts -- --rounds 200` is the
 * long run. WEIR_CRASH_SEED repeats the moments of death, as far as the machine's timing allows.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runAlertCrashes } from './alert-crash-run.ts'
import { makeFolder } from './weir-process.ts'

const ROUNDS = Number(process.env['WEIR_CRASH_ROUNDS'] ?? 25)
const SEED = Number(process.env['WEIR_CRASH_SEED'] ?? Date.now() % 1_000_000)

const NAME = `${ROUNDS} kills lose, double and invent no episode and no notification (seed ${SEED})`

test(NAME, { timeout: 120_000 + ROUNDS * 10_000 }, async (t) => {
  t.diagnostic(`seed ${SEED}`)
  const folder = await makeFolder(t)
  const totals = await runAlertCrashes({ folder, rounds: ROUNDS, seed: SEED, say: () => {} })
  t.diagnostic(JSON.stringify(totals))
  assert.ok(totals.alerts > ROUNDS, 'too few alerts to tell anything')
})
