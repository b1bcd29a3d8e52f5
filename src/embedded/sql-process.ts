/**
 * The process that runs statements: one at a time, as it is told. What a statement can bring down
 * is this process, and the system's killer of processes takes it first.
 */
import { writeFileSync } from 'node:fs'
import { WeirError } from '../errors/errors.ts'
import { runStatement, type SqlAnswer, type SqlRequest } from '../sql/sql.ts'

export type SqlReply =
  | { answer: SqlAnswer }
  | { problem: { code: string; message: string; details: Record<string, unknown> } }

try {
  writeFileSync('/proc/self/oom_score_adj', '1000')
} catch {
  // Elsewhere than on Linux nobody asks.
}

process.on('message', (request: SqlRequest) => {
  runStatement(request).then(
    (answer) => process.send!({ answer } satisfies SqlReply),
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
