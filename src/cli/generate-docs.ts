/** `npm run docs` writes the pages that are rendered from the code; `--check` compares them. */
import { readFile, writeFile } from 'node:fs/promises'
import { renderConfigDocs, renderErrorDocs } from '../config/docs.ts'

const PAGES = [
  { path: 'docs/config.md', render: renderConfigDocs },
  { path: 'docs/errors.md', render: renderErrorDocs },
]

const isCheck = process.argv.includes('--check')
for (const { path, render } of PAGES) {
  const file = new URL(`../../${path}`, import.meta.url)
  const written = await readFile(file, 'utf8').catch(() => '')
  if (written === render()) continue
  if (isCheck) {
    process.stderr.write(`${path} is not what the code says: run npm run docs\n`)
    process.exitCode = 1
  } else {
    await writeFile(file, render())
    process.stdout.write(`wrote ${path}\n`)
  }
}
