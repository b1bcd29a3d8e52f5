/**
 * `npm run vectors`: writes the vectors of `*.json` from the naive oracle. Who changes what an
 * operator means changes the oracle, runs this, and then both engines until they are green again.
 */
import { writeFileSync } from 'node:fs'
import { CASES } from './cases.ts'
import { pathOf, VECTOR_NAMES, type VectorName } from './vectors.ts'

const ABOUT = 'Made by `npm run vectors` from the naive oracle; what the fields mean: vectors.ts.'

/** The file's text: a step a line. */
export function textOf(name: VectorName): string {
  const cases = CASES[name]().map(({ steps, ...rest }) => {
    const lines = steps.map((step) => `      ${JSON.stringify(step)}`)
    const head = JSON.stringify(rest).slice(0, -1)
    return `    ${head},"steps":[\n${lines.join(',\n')}\n    ]}`
  })
  return `{\n  "about": ${JSON.stringify(ABOUT)},\n  "cases": [\n${cases.join(',\n')}\n  ]\n}\n`
}

if (import.meta.main) for (const name of VECTOR_NAMES) writeFileSync(pathOf(name), textOf(name))
