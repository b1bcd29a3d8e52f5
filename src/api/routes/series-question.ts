/** What questions about one series, or those of one metric, have in common. */
import { Type } from 'typebox'
import { suggest } from '../../config/config.ts'
import { WeirError } from '../../errors/errors.ts'
import type { ApiPorts } from '../api.ts'
import { Completeness } from '../completeness.ts'
import { Milliseconds } from '../shapes.ts'
import { invalidParameter, parsePair } from '../parameters.ts'
import { parseTime } from '../times.ts'

/** Of every question that waits for its turn. */
export const QUESTION_PROBLEMS = [
  'QUERY_LIMIT_EXCEEDED',
  'QUERY_OVERLOADED',
  'QUERY_FAILED',
] as const

export const Dimension = Type.Optional(
  Type.Array(Type.String({ pattern: '^[^=]+=' }), {
    maxItems: 16,
    description: 'name=value; only series with this dimension. May be given several times.',
  }),
)

const SegmentsDamaged = Type.Integer({
  description: 'Damaged segments that may hold a part of the answer; the events name them.',
})

const Frozen = Type.Optional(
  Type.Array(Type.Object({ from: Milliseconds, to: Milliseconds }), {
    description:
      'Times of which readings are in the archive of the bucket, and not in this answer: see ' +
      '`POST /v1/storage/restores`.',
  }),
)

const Cached = Type.Boolean({
  description:
    'Kept from an equal question: in one process until something comes that changes it; on a ' +
    'cluster for a second, or two minutes for a span that is long past.',
})

const Engine = Type.Optional(
  Type.Object(
    {
      kind: Type.String({ description: 'trino or athena' }),
      readings: Type.Integer({ description: 'That it summed up.' }),
      statements: Type.Integer(),
      duration_ms: Type.Integer(),
      failed: Type.Optional(
        Type.String({ description: 'The code of its error; the answer is from elsewhere.' }),
      ),
    },
    { description: 'What another engine over the lake was asked for, where one was.' },
  ),
)

/** Where an answer came from. */
export const AnswerMeta = {
  tiers: Type.Array(Type.String(), { description: 'Where the answer came from.' }),
  resolution_ms: Type.Number({ description: '0: raw readings.' }),
  relative_error: Type.Optional(
    Type.Number({
      description:
        'Of `p1` to `p99`: 0, they are exact; 0.005, each is within half a percent of a value of ' +
        'its rank, as some came from sketches or were too many.',
    }),
  ),
  completeness: Completeness,
  segments_read: Type.Integer(),
  segments_skipped: Type.Integer(),
  segments_damaged: SegmentsDamaged,
  frozen: Frozen,
  cached: Cached,
  engine: Engine,
}

export function seriesQuestion(
  tenant: string,
  query: { device_id: string; metric: string; start: string; end: string; dimension?: string[] },
) {
  const startUs = parseTime(query.start, 'start')
  const endUs = parseTime(query.end, 'end')
  if (endUs < startUs) throw invalidParameter('end', 'lies before start')
  const dimensions = Object.fromEntries((query.dimension ?? []).map(parsePair))
  return { tenant, deviceId: query.device_id, metric: query.metric, startUs, endUs, dimensions }
}

/**
 * An answer without readings may mean a typo: a strict type knows its metrics. Throws
 * API_NOT_FOUND.
 */
export function checkMetric({ plan }: ApiPorts, typeName: string, metric: string): void {
  const type = plan.types[typeName]
  if (type === undefined || !type.isStrict) return
  const known = type.schemas.flatMap((schema) => schema.metrics.map(({ name }) => name))
  if (known.includes(metric)) return
  const hint = suggest(metric, [...new Set(known)])
  throw new WeirError('API_NOT_FOUND', `metric: ${typeName} has no metric "${metric}"${hint}`)
}
