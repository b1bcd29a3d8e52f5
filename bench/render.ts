/**
 * The committed results as Markdown: printed, with `--readme` written between the marks of
 * README.md, with `--check` compared with what stands there.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { median, type Report } from './report.ts'

const folder = fileURLToPath(new URL('./results/', import.meta.url))
const readme = fileURLToPath(new URL('../README.md', import.meta.url))
const MARKS = /(?<=<!-- bench -->\n).*(?=<!-- \/bench -->)/s
const NOTHING = `No results are committed yet. \`npx node bench/ingest-mqtt.ts\` makes some;
\`npx node bench/render.ts --readme\` puts them here.`

/** Four digits, thousands grouped. */
const format = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)))

/** What no single run has. */
const isRatio = (name: string): boolean => name.includes(' / ')

/** One row a name: the median of its runs, and their spread. */
function rows(results: Report['results']): string[] {
  const byName = Map.groupBy(results, ({ name }) => name)
  return [...byName].map(([name, runs]) => {
    const values = runs.map(({ value }) => value).toSorted((a, b) => a - b)
    const [least, most] = [values[0] ?? NaN, values.at(-1) ?? NaN]
    const spread = values.length === 1 ? '' : `${format(least)} to ${format(most)}`
    const unit = runs[0]?.unit ?? ''
    return `| ${name} | ${format(median(values))} | ${spread} | ${unit} |`
  })
}

function render(report: Report): string {
  const { machine, commit, results, notes, isQuick } = report
  const run = `commit ${commit}, ${machine.cores} cores of ${machine.cpu}, Node ${machine.node}`
  const load = `load average ${machine.loadBefore.toFixed(2)} before${isQuick ? ', quick run' : ''}`
  return [
    `### ${report.question}`,
    '',
    '| what | median | runs | unit |',
    '|---|---:|---:|---|',
    ...rows(results.filter(({ name }) => !name.endsWith('median of the runs') || isRatio(name))),
    '',
    `${run}, ${load}.${notes.map((note) => ` ${note}.`).join('')}`,
  ].join('\n')
}

const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : []
const reports = files
  .toSorted()
  .map((name) => JSON.parse(readFileSync(folder + name, 'utf8')) as Report)
const page = reports.length === 0 ? NOTHING : reports.map(render).join('\n\n')
const written = readFileSync(readme, 'utf8')
const wanted = written.replace(MARKS, () => `${page}\n`)
if (process.argv.includes('--readme')) writeFileSync(readme, wanted)
else if (!process.argv.includes('--check')) console.log(page)
else if (wanted !== written) {
  console.error('README.md has other results than bench/results: node bench/render.ts --readme')
  process.exitCode = 1
}
