/** The windows of one metric that the stream made, or that are computed when somebody asks. */
import { Type } from 'typebox'
import { formatDurationUs, parseDurationUs } from '../../config/config.ts'
import type { WindowsAnswer } from '../../query/query.ts'
import {
  columnsAsTable,
  FORMATS,
  formatOf,
  OTHER_MEDIA_TYPES,
  type Format,
} from '../answer-format.ts'
import type { QueryPorts } from '../api.ts'
import { invalidParameter } from '../parameters.ts'
import { NOT_MODIFIED, questionAnswer } from '../question-answer.ts'
import { jsonAnswer, jsonRoute, type Answer, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { DeviceId, Metric, Milliseconds, Time } from '../shapes.ts'
import { requireDevice } from './devices.ts'
import { rowsAsCsv, rowsAsLines } from './rows-text.ts'
import {
  AnswerMeta,
  checkMetric,
  Dimension,
  QUESTION_PROBLEMS,
  seriesQuestion,
} from './series-question.ts'

export function windowsRoute({ ports, gates, limits }: Services<QueryPorts>): Route {
  return jsonRoute({
    key: 'GET /v1/aggregations',
    summary: 'Tumbling windows of one metric',
    description: 'On-time and late readings merged. Windows without readings are left out.',
    tag: 'queries',
    query: Type.Object({
      device_id: DeviceId,
      metric: Metric,
      window: Type.String({ description: 'A window size of the pipeline.', examples: ['1m'] }),
      start: Time,
      end: Time,
      format: Type.Optional(
        Type.Enum(FORMATS, {
          description:
            'Instead of Accept. ndjson: a line a window; csv; arrow (IPC stream); parquet. Of the ' +
            'last three the columns are those of a window, `window_start` a time.',
        }),
      ),
      dimension: Dimension,
    }),
    answers: {
      200: { ...jsonAnswer('By start.', Windows), otherMediaTypes: OTHER_MEDIA_TYPES },
      304: NOT_MODIFIED,
    },
    problems: ['API_NOT_FOUND', ...QUESTION_PROBLEMS],
    async handle({ tenant, request, reply, query }) {
      const { type } = await requireDevice(ports, tenant, query.device_id)
      const question = seriesQuestion(tenant, query)
      const windowMs = parseWindow(query.window, ports.plan.windowsMs)
      const answer = await gates.query.run({ tenant, reply }, (signal) =>
        ports.query.windows({ ...question, windowMs }, signal),
      )
      if (answer.windows.length === 0) checkMetric(ports, type, query.metric)
      const format = formatOf(query.format, request.headers.accept)
      const other = await windowsAs(format, answer.windows)
      return questionAnswer({ json: answer, other }, { request, limits })
    },
  })
}

const Window = Type.Object({
  window_start: Milliseconds,
  count: Type.Integer(),
  sum: Type.Number(),
  avg: Type.Number(),
  min: Type.Number(),
  max: Type.Number(),
  stddev: Type.Union([Type.Number(), Type.Null()], {
    description: 'Of the sample; null for one reading.',
  }),
  first: Type.Number(),
  last: Type.Number(),
})

const Windows = Type.Object({
  windows: Type.Array(Window),
  meta: Type.Object(AnswerMeta),
})

function parseWindow(text: string, windowsMs: number[]): number {
  const ms = (parseDurationUs(text) ?? 0) / 1000
  if (windowsMs.includes(ms)) return ms
  const known = windowsMs.map((size) => formatDurationUs(size * 1000)).join(', ')
  throw invalidParameter('window', `"${text}" is not one of the pipeline’s windows: ${known}`)
}

const NUMBERS = ['sum', 'avg', 'min', 'max', 'stddev', 'first', 'last'] as const

/** Undefined: as JSON. */
async function windowsAs(
  format: Format,
  windows: WindowsAnswer['windows'],
): Promise<Answer['text']> {
  if (format === 'json') return undefined
  if (format === 'ndjson') return rowsAsLines(windows)
  if (format === 'csv') {
    const rows = windows.map((one) => [
      new Date(one.window_start).toISOString(),
      ...[one.count, ...NUMBERS.map((name) => one[name] ?? '')],
    ])
    return rowsAsCsv(['window_start', 'count', ...NUMBERS], rows)
  }
  const numbers = (name: 'count' | (typeof NUMBERS)[number]) => ({
    ...{ name, type: 'double' as const, isOptional: name === 'stddev' },
    values: windows.map((one) => one[name]),
  })
  const startUs = windows.map((one) => one.window_start * 1000)
  return columnsAsTable(
    [
      { name: 'window_start', type: 'timeUs', isOptional: false, values: startUs },
      ...[numbers('count'), ...NUMBERS.map(numbers)],
    ],
    format,
  )
}
