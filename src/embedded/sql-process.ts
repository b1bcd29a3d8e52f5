/**
 * The process that runs statements: one at a time, as it is told. What a statement can bring down
 * is this process, and the system's killer of processes takes it first.
 */
import { writeFileSync } from 'node:fs'
import { WeirError } from '../errors/errors.ts'
import { lookAtStatement, runStatement, type SqlLimits, type SqlRequest } from '../sql/sql.ts'

/** To look at a statement, or to run it. */
export type SqlTask = { look: { sql: string; limits: SqlLimits } } | { run: SqlRequest }

export type SqlReply =
  | { result: unknown }
  | { problem: { code: string; message: string; details: Record<string, unknown> } }

try {
  writeFileSync('/proc/self/oom_score_adj', '1000')
} catch {
  // Elsewhere than on Linux nobody asks.
}

const carryOut = (task: SqlTask): Promise<unknown> =>
  'look' in task ? lookAtStatement(task.look.sql, task.look.limits) : runStatement(task.run)

process.on('message', (task: SqlTask) => {
  carryOut(task).then(
    (result) => process.send!({ result } satisfies SqlReply),
    (error: unknown) => {
      const isKnown = error instanceof WeirError
      const code = isKnown ? error.code : 'QUERY_FAILED'
      const details = isKnown ? { ...error.details } : {}
      process.send!({ problem: { code, message: (error as Error).message, details } })
    },
  )
})
// Without whom it answers it is of no use.
process.on('disconnect', () => process.exit())
