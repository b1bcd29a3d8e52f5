/** The Trino that runs, and the tables that `weir lake ddl` makes there over a bucket or folder. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { accessOf } from './cluster.ts'

const access = accessOf('trino')
const { url = '', catalogs = '', files = '' } = access ?? {}
export const trinoUrl = url
/** A folder here, which is `local:///` in the catalogue `hive`. */
export const trinoFiles = files
let reason: string | undefined
if (url === '') reason = 'Trino does not run: npm run -s cluster:up -- minio trino'
else if (!catalogs.split(',').includes('lake') || accessOf('minio') === undefined) {
  reason = 'Trino was started without MinIO: npm run -s cluster:down -- trino, and up with minio'
}

/** Why there is none. */
export const skipTrino = reason

interface Page {
  nextUri?: string
  data?: unknown[][]
  error?: { message: string }
}

/** The rows of a statement, page by page. */
export async function askTrino(statement: string): Promise<unknown[][]> {
  const rows: unknown[][] = []
  const headers = { 'x-trino-user': 'weir', 'x-trino-time-zone': 'UTC' }
  let answer = await fetch(`${url}/v1/statement`, { method: 'POST', body: statement, headers })
  for (;;) {
    const page = (await answer.json()) as Page
    if (page.error !== undefined) throw new Error(`${page.error.message}\n${statement}`)
    rows.push(...(page.data ?? []))
    if (page.nextUri === undefined) return rows
    answer = await fetch(page.nextUri, { headers })
  }
}

/** As a person pastes it: without comments, one statement after another. */
const statementsOf = (text: string): string[] =>
  text
    .replaceAll(/^--.*$/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')

/** What makes the table, and what makes it look for new folders. */
export function tableOver(location: string, table: string, more: string[] = []): string[] {
  const program = fileURLToPath(new URL('../../src/cli/weir.ts', import.meta.url))
  const flags = ['--engine', 'trino', '--location', location, '--table', table, ...more]
  const command = ['--disable-warning=ExperimentalWarning', program, 'lake', 'ddl', ...flags]
  return statementsOf(execFileSync(process.execPath, command, { encoding: 'utf8' }))
}
