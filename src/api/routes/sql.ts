/** Statements of SQL over what is stored. */
import { Type } from 'typebox'
import { WeirError } from '../../errors/errors.ts'
import type { SqlPorts } from '../api.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'

const SQL_CHARACTERS_MAX = 100_000

const Answer = Type.Object({
  columns: Type.Array(Type.Object({ name: Type.String(), type: Type.String() })),
  rows: Type.Array(Type.Array(Type.Unknown()), {
    description: 'In the order of the columns. Times are RFC 3339, integers beyond 2^53 are text.',
  }),
})

export function sqlRoutes({ ports }: Services<SqlPorts>): Route[] {
  return [
    jsonRoute({
      key: 'POST /v1/sql',
      summary: 'One SELECT over what is stored',
      description:
        'Over the views telemetry, aggregations, devices and alerts. What is not one SELECT, or ' +
        'asks for files, network or settings, is refused. Closing the connection ends it.',
      tag: 'queries',
      body: Type.Object({
        sql: Type.String({ minLength: 1, maxLength: SQL_CHARACTERS_MAX }),
      }),
      answers: { 200: jsonAnswer('Columns and rows.', Answer) },
      problems: ['SQL_REFUSED', 'SQL_INVALID', 'QUERY_LIMIT_EXCEEDED', 'QUERY_FAILED'],
      async handle({ tenant, body, reply }) {
        const gone = new AbortController()
        const abort = (): void => gone.abort(new WeirError('GATEWAY_SHUTTING_DOWN'))
        reply.raw.once('close', abort)
        try {
          return { status: 200, json: await ports.sql.run(tenant, body.sql, gone.signal) }
        } finally {
          reply.raw.off('close', abort)
        }
      },
    }),
  ]
}
