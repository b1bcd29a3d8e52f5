/** 300 seeds of the whole pipeline under faults, and six planted bugs that they must find. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { BUGS, type BugName } from './bugs.ts'
import { Simulation } from './simulation.ts'

const SEEDS = Number(process.env['WEIR_SIMULATION_SEEDS'] ?? 300)
const MINUTES = 0.5
const PROGRAM = fileURLToPath(new URL('./simulate.ts', import.meta.url))

/** Runs seeds in a process of its own. Resolves with what it said. */
function runSeeds(seed: number, seeds: number): Promise<{ code: number | null; output: string }> {
  const flags = ['--disable-warning=ExperimentalWarning', '--single-threaded-gc']
  const range = ['--seed', String(seed), '--seeds', String(seeds), '--minutes', String(MINUTES)]
  const child = spawn(process.execPath, [...flags, PROGRAM, ...range])
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (output += bytes.toString()))
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })))
}

test(`promises 1 to 8: ${SEEDS} seeds of crashes, full and lying disks, broken lines and wrong clocks hold`, async () => {
  const share = Math.ceil(SEEDS / availableParallelism())
  const runs: ReturnType<typeof runSeeds>[] = []
  for (let seed = 1; seed <= SEEDS; seed += share)
    runs.push(runSeeds(seed, Math.min(share, SEEDS - seed + 1)))
  for (const { code, output } of await Promise.all(runs)) assert.equal(code, 0, output)
})

/** Recorded runs: the first seed that found the bug, and what it said. */
const FOUND: Record<BugName, { seed: number; minutes?: number; says: RegExp }> = {
  'acknowledged before the flush': { seed: 1, says: /^G2 entry/ },
  'a checkpoint that commits before its outputs': { seed: 1, says: /was never defined/ },
  'the log trimmed one entry too far': { seed: 11, says: /^T1 the log forgot 1 entries/ },
  'a segment that counts before it is flushed': { seed: 1, says: /^completeness 0/ },
  'a cold file that counts before it is flushed': { seed: 3, minutes: 4, says: /^readings.tenant/ },
  'a checkpoint before its alerts': { seed: 25, says: /^promise 7: episodes/ },
  'the memory of repeats forgotten at a restart': { seed: 1, says: /^promise [38]: / },
}

for (const [name, { seed, minutes = MINUTES, says }] of Object.entries(FOUND)) {
  test(`a planted bug is found: ${name}`, async () => {
    const run = new Simulation({ seed, minutes, bug: BUGS[name as BugName] }).run()
    await assert.rejects(run, { message: says })
  })
}

test('a seed gives the same run again', async () => {
  const counts = await Promise.all(
    [1, 2].map(() => new Simulation({ seed: 5, minutes: 0.5 }).run()),
  )
  assert.deepEqual(counts[0], counts[1])
})
