/** Prints the committed results as Markdown: `node bench/render.ts`. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Report } from './report.ts'

const folder = fileURLToPath(new URL('./results/', import.meta.url))

/** Four digits, thousands grouped. */
const format = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)))

function render(report: Report): string {
  const { machine, commit, results, notes, isQuick } = report
  const run = `commit ${commit}, ${machine.cores} cores of ${machine.cpu}, Node ${machine.node}`
  const load = `load average ${machine.loadBefore.toFixed(2)} before${isQuick ? ', quick run' : ''}`
  return [
    `### ${report.question}`,
    '',
    '| what | value | unit |',
    '|---|---:|---|',
    ...results.map(({ name, value, unit }) => `| ${name} | ${format(value)} | ${unit} |`),
    '',
    `${run}, ${load}.${notes.map((note) => ` ${note}.`).join('')}`,
  ].join('\n')
}

const files = readdirSync(folder).filter((name) => name.endsWith('.json'))
const reports = files
  .toSorted()
  .map((name) => JSON.parse(readFileSync(folder + name, 'utf8')) as Report)
console.log(reports.map(render).join('\n\n'))
