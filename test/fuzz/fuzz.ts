/**
 * The long way: `npm run fuzz -- --minutes 10`. Every round takes the next seed; a failure prints
 * the command that replays it and ends with exit code 1.
 */
import { parseArgs } from 'node:util'
import { broken, replayCommand, type FuzzTarget } from './claim.ts'
import { TARGETS } from './targets.ts'

const PROGRESS_MS = 10_000

const USAGE = `npm run fuzz -- [--minutes M] [--decoder NAME] [--seed S]

  --minutes   how long; without it, one round
  --decoder   one of ${Object.keys(TARGETS).join(', ')}; without it, all in turn
  --seed      the first seed; a failure prints the one that replays it`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    decoder: { type: 'string' },
    seed: { type: 'string' },
    help: { type: 'boolean' },
  },
})

function fail(problem: string): never {
  console.error(`${problem}\n\n${USAGE}`)
  process.exit(2)
}

function numberOf(name: 'minutes' | 'seed', otherwise: number): number {
  const text = values[name]
  if (text === undefined) return otherwise
  const number = Number(text)
  return text.trim() !== '' && number >= 0 ? number : fail(`--${name} is "${text}"`)
}

if (values.help === true) {
  console.log(USAGE)
  process.exit(0)
}
const names = values.decoder === undefined ? Object.keys(TARGETS) : [values.decoder]
const minutes = numberOf('minutes', 0)
const firstSeed = numberOf('seed', Date.now() % 2 ** 31)
const startMs = performance.now()
const endMs = startMs + minutes * 60_000
let runs = 0
let shownMs = startMs

/** The first claim that does not hold with this seed. */
async function firstBroken(target: FuzzTarget, seed: number): Promise<string | undefined> {
  for (const claim of target.claims) {
    const report = await broken(claim, seed)
    if (report !== undefined) return `${target.name}: ${claim.what}\n${report}`
    runs += claim.runs
    if (performance.now() - shownMs < PROGRESS_MS) continue
    shownMs = performance.now()
    const seconds = Math.round((shownMs - startMs) / 1000)
    console.log(`${seconds} s, seed ${seed}, ${target.name}: ${runs} runs and nothing broke`)
  }
  return undefined
}

const targets = await Promise.all(
  names.map((name) => (TARGETS[name] ?? fail(`there is no decoder "${name}"`))()),
)
console.log(`Fuzzing ${names.join(', ')} from seed ${firstSeed}`)
let exitCode = 0
for (let seed = firstSeed; exitCode === 0; seed++) {
  for (const target of targets) {
    const report = await firstBroken(target, seed)
    if (report === undefined) continue
    console.error(`${report}\n\nReplay it: ${replayCommand(target.name, seed)}`)
    exitCode = 1
    break
  }
  if (performance.now() >= endMs) break
}
for (const target of targets) await target.close?.()
const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
if (exitCode === 0) console.log(`${runs} runs in ${seconds} s: nothing broke`)
process.exitCode = exitCode
