/**
 * What answers say of themselves: while a restart replays the log behind open doors, some of what
 * was acknowledged is not in them yet.
 */
import { Type } from 'typebox'
import type { Query } from '../query/query.ts'
import type { QueryPorts } from './api.ts'

export const Completeness = Type.Number({
  description:
    '1: everything acknowledged is in the answer. Less while a restart replays the log: the share ' +
    'of it that is in; and while a damaged segment may hold a part of it, by an estimate.',
})

/** Of answers that are rows and nothing else. */
export const Meta = Type.Object({ completeness: Completeness })

/**
 * How complete the rows are is asked before them: what arrives in between makes them better than
 * they say.
 */
export async function withMeta<Rows>(
  { query }: QueryPorts,
  ask: (query: Query) => Promise<Rows>,
): Promise<{ rows: Rows; meta: { completeness: number } }> {
  const [completeness, rows] = await Promise.all([query.completeness(), ask(query)])
  return { rows, meta: { completeness } }
}
