/** Statements over what a store has, as a server answers them but for its processes. */
import { StatementFiles } from '../../src/embedded/statement-files.ts'
import type { SqlStore } from '../../src/embedded/sql-desk.ts'
import { needsOf } from '../../src/embedded/sql-needs.ts'
import type { Objects } from '../../src/objects/objects.ts'
import { lookAtStatement, runStatement, type Scopes, type SqlAnswer } from '../../src/sql/sql.ts'
import type { EmbeddedStorage } from '../../src/storage/embedded-storage.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

const LIMITS = { rowsMax: 100_000, bytesMax: 64 << 20, timeMs: 30_000, memoryBytes: 256 << 20 }
export const WINDOWS_MS = [60_000, 300_000]

/** Views of a statement that may see everything. */
export const EVERYTHING: Scopes[keyof Scopes] = {
  ...{ startUs: -Infinity, endUs: Infinity, deviceIds: undefined, metrics: undefined },
}

export interface AskHow {
  nowUs?: number
  /** As if none of its conditions had been understood. */
  isBlind?: boolean
  signal?: AbortSignal
}

/** Errors: those of statements and of the store. */
export async function askStore(
  store: SqlStore,
  sql: string,
  { nowUs = Date.now() * 1000, isBlind = false, signal }: AskHow = {},
): Promise<SqlAnswer['rows']> {
  const { scopes } = await lookAtStatement(sql, LIMITS)
  const views = Object.keys(scopes) as (keyof Scopes)[]
  const seen = isBlind ? Object.fromEntries(views.map((view) => [view, EVERYTHING])) : scopes
  const needs = needsOf({ tenant: 'default', scopes: seen, windowsMs: WINDOWS_MS })
  const { files, release } = await store.open(needs!, signal ?? new AbortController().signal)
  try {
    const more = { tenant: 'default', windowsMs: WINDOWS_MS, nowUs }
    const source = { ...files, ...more, devices: undefined, alerts: undefined }
    return (await runStatement({ sql, source, limits: LIMITS, secret: 'w0_' })).rows
  } finally {
    await release()
  }
}

/** Of an embedded store, whose cold files are in `objects`, as a bucket or in its folder. */
export function embeddedSql(
  storage: Pick<EmbeddedStorage, 'sqlFiles' | 'isNamed'>,
  how: { folder: string; objects: Objects; isBucket?: boolean; bytesMax?: number },
): SqlStore {
  const { folder, objects, isBucket = true, bytesMax = 1 << 30 } = how
  const disk = nodeWorld.disk
  const statements = new StatementFiles({ storage, folder, disk, objects, isBucket, bytesMax })
  return {
    async open(needs, signal) {
      const { id, files } = await statements.open(needs, signal)
      return { files: { ...files, rows: [] }, release: async () => statements.close(id) }
    },
  }
}
