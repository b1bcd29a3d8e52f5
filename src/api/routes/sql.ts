/** Statements of SQL over what is stored. */
import { Type } from 'typebox'
import type { SqlPorts } from '../api.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { QUESTION_PROBLEMS } from './series-question.ts'

const SQL_CHARACTERS_MAX = 100_000

const Answer = Type.Object({
  columns: Type.Array(Type.Object({ name: Type.String(), type: Type.String() })),
  rows: Type.Array(Type.Array(Type.Unknown()), {
    description: 'In the order of the columns. Times are RFC 3339, integers beyond 2^53 are text.',
  }),
})

export function sqlRoutes({ ports, gates }: Services<SqlPorts>): Route[] {
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
      problems: [
        ...(['SQL_REFUSED', 'SQL_INVALID', 'OBJECT_FROZEN', 'OBJECTS_UNAVAILABLE'] as const),
        ...(['STORAGE_UNAVAILABLE'] as const),
        ...QUESTION_PROBLEMS,
      ],
      async handle({ tenant, body, reply }) {
        const json = await gates.sql.run({ tenant, reply }, (signal) =>
          ports.sql.run(tenant, body.sql, signal),
        )
        return { status: 200, json }
      },
    }),
  ]
}
