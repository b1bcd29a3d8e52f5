/** `npm run simulate -- --seed S --minutes M [--seeds N] [--bug NAME]`: simulated runs by hand. */
import { parseArgs } from 'node:util'
import { BUGS, NO_BUG, type BugName } from './bugs.ts'
import { Simulation } from './simulation.ts'

const HELP = `Usage: npm run simulate -- [options]

The whole pipeline on a simulated machine, with faults; a seed decides everything.

  --seed S      the first seed (default 1)
  --seeds N     how many seeds in a row (default 1)
  --minutes M   simulated minutes of faults (default 10)
  --bug NAME    with a planted bug; it must be found:
${Object.keys(BUGS)
  .map((name) => `                  ${name}`)
  .join('\n')}
`

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '10' },
    bug: { type: 'string' },
    help: { type: 'boolean' },
  },
})

const [seed, seeds, minutes] = [values.seed, values.seeds, values.minutes].map(Number)
if (values.help === true || [seed, seeds, minutes].some((value) => !(value! > 0))) {
  console.log(HELP)
  process.exit(values.help === true ? 0 : 2)
}
if (values.bug !== undefined && !(values.bug in BUGS)) {
  console.error(`No bug is called "${values.bug}".\n\n${HELP}`)
  process.exit(2)
}
const bug = values.bug === undefined ? NO_BUG : BUGS[values.bug as BugName]
const startMs = performance.now()
for (let at = seed!; at < seed! + seeds!; at++) {
  try {
    const counts = await new Simulation({ seed: at, minutes: minutes!, bug }).run()
    if (seeds === 1) console.log(counts)
    else if (process.stdout.isTTY) process.stdout.write(`\rseed ${at} held`)
  } catch (error) {
    console.error(`\nseed ${at} of ${minutes} minutes:`, error)
    process.exit(1)
  }
}
const seconds = (performance.now() - startMs) / 1000
console.log(`\n${seeds} of ${minutes} minutes held, in ${seconds.toFixed(1)} s`)
