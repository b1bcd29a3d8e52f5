/** What is stored: readings, windows, rule events, anomalies, dead letters. */
import { Type, type Static } from 'typebox'
import { formatDurationUs, parseDurationUs, suggest } from '../../config/config.ts'
import { WeirError } from '../../errors/errors.ts'
import { AGGREGATES, FILLS } from '../../query/query.ts'
import type { EventsFilter, ReadingsAnswer, ReadingsQuestion } from '../../query/query.ts'
import type { ApiPorts, ConsolePorts, QueryPorts } from '../api.ts'
import { Completeness, Meta, withMeta } from '../completeness.ts'
import { invalidParameter, parsePair } from '../parameters.ts'
import { jsonAnswer, jsonRoute, type Answer, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { DeviceId, Limit, Metric, Milliseconds, Time, Value } from '../shapes.ts'
import { parseGrid, parseStep, parseTime } from '../times.ts'
import { requireDevice } from './devices.ts'
import { fleetRoute } from './fleet.ts'
import {
  GROUP_PARAMETERS,
  groupsAsJson,
  groupsAsText,
  groupsOf,
  GroupsQuery,
} from './group-query.ts'
import { pointsAsText } from './points-text.ts'

const TAG = 'queries'

const POINTS_MAX = 10_000

const Dimension = Type.Optional(
  Type.Array(Type.String({ pattern: '^[^=]+=' }), {
    maxItems: 16,
    description: 'name=value; only series with this dimension. May be given several times.',
  }),
)

export function queryRoutes({ ports }: Services<ConsolePorts>): Route[] {
  return [
    ...[readingsRoute(ports), windowsRoute(ports), fleetRoute(ports)],
    ...[anomaliesRoute(ports), deadLettersRoute(ports)],
  ]
}

const ReadingsQuery = Type.Object({
  device_id: Type.Optional(DeviceId),
  ...GroupsQuery,
  metric: Metric,
  start: Time,
  end: Time,
  agg: Type.Optional(Type.Enum([...AGGREGATES])),
  step: Type.Optional(
    Type.String({
      description:
        'With agg: milliseconds, or 30s, 5m, 1h, 1d; of the calendar 1w, 1mo, 1y, and with tz 1d.',
    }),
  ),
  tz: Type.Optional(
    Type.String({ description: 'Time zone of steps of the calendar, as Europe/Berlin.' }),
  ),
  fill: Type.Optional(
    Type.Enum([...FILLS], {
      default: 'none',
      description: 'What stands in steps without readings.',
    }),
  ),
  compare: Type.Optional(
    Type.String({
      description: 'The same of so much earlier beside it, at the times of now: 1d, 7d.',
    }),
  ),
  format: Type.Optional(
    Type.Enum(['json', 'ndjson', 'csv'], {
      default: 'json',
      description: 'ndjson: a line {"ts", "value"} a point; csv: time in RFC 3339, value.',
    }),
  ),
  max_points: Type.Optional(Type.Integer({ minimum: 1, maximum: POINTS_MAX, default: POINTS_MAX })),
  dimension: Dimension,
})

function readingsRoute(ports: QueryPorts): Route {
  return jsonRoute({
    key: 'GET /v1/query',
    summary: 'Readings of one metric, raw, downsampled or aggregated, of one device or many',
    description:
      'Start included, end excluded, oldest first. Without `agg`, more readings than `max_points` ' +
      'are downsampled so that peaks stay. With `agg`, a point’s time is its step’s start; without ' +
      '`step` there is one step. Without `device_id` it is asked of all devices, or of those that ' +
      '`type`, `tag` and `box` mean, with `agg`; the answer has `groups` then.',
    tag: TAG,
    query: ReadingsQuery,
    answers: {
      200: {
        ...jsonAnswer('The points.', Type.Union([Readings, Groups])),
        otherMediaTypes: ['application/x-ndjson', 'text/csv'],
      },
    },
    problems: ['API_NOT_FOUND', 'QUERY_LIMIT_EXCEEDED', 'QUERY_FAILED'],
    async handle({ tenant, query }) {
      const { device_id: deviceId } = query
      if (deviceId === undefined) return askGroups(ports, tenant, query)
      const { type } = await requireDevice(ports, tenant, deviceId)
      for (const name of GROUP_PARAMETERS) {
        if (query[name] !== undefined)
          throw invalidParameter(name, 'is for questions without device_id')
      }
      const question = {
        ...seriesQuestion(tenant, { ...query, device_id: deviceId }),
        ...stepsQuestion(query),
      }
      const answer = await ports.query.readings(question)
      if (answer.meta.series.length === 0) checkMetric(ports, type, query.metric)
      const { format = 'json' } = query
      if (format !== 'json') return pointsAsText(answer.points, query.metric, format)
      if (query.compare === undefined) return { status: 200, json: answer }
      const compare = await earlier(ports, question, parseStep(query.compare, 'compare'))
      return { status: 200, json: { ...answer, compare } }
    },
  })
}

type ReadingsParameters = Static<typeof ReadingsQuery>

function stepsQuestion(query: ReadingsParameters) {
  if (query.step !== undefined && query.agg === undefined) {
    throw invalidParameter('step', `needs agg, one of ${AGGREGATES.join(', ')}`)
  }
  if (query.fill !== undefined && query.step === undefined) {
    throw invalidParameter('fill', 'needs step')
  }
  return {
    aggregate: query.agg,
    ...parseGrid(query.step, query.tz),
    fill: query.fill,
    pointsMax: query.max_points ?? POINTS_MAX,
  }
}

async function askGroups(
  ports: QueryPorts,
  tenant: string,
  query: ReadingsParameters,
): Promise<Answer> {
  const { agg: aggregate, group_by: by, compare, metric, format = 'json' } = query
  if (aggregate === undefined) {
    const aggregates = AGGREGATES.join(', ')
    throw invalidParameter('device_id', `is required, or agg for all devices: ${aggregates}`)
  }
  if (compare !== undefined) throw invalidParameter('compare', 'needs device_id')
  const { deviceId: _, ...span } = seriesQuestion(tenant, { ...query, device_id: '' })
  const groups = await groupsOf(ports, tenant, query)
  const question = { ...span, ...stepsQuestion(query), ...groups, aggregate }
  const answer = await ports.query.groups(question)
  if (format === 'json') return groupsAsJson(answer, by)
  return groupsAsText(answer, { by, metric, format })
}

/** Each point at the time that it has now. */
async function earlier(
  { query }: QueryPorts,
  question: ReadingsQuestion,
  byUs: number,
): Promise<{ points: ReadingsAnswer['points'] }> {
  const { points } = await query.readings({
    ...question,
    startUs: question.startUs - byUs,
    endUs: question.endUs - byUs,
  })
  return { points: points.map(([ms, value]) => [ms + byUs / 1000, value]) }
}

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
    'From the cache of a cluster: as it was up to a second ago, or two minutes for a span that is ' +
    'long past. Never so in one process, which has no cache.',
})

const Points = Type.Array(Type.Tuple([Milliseconds, Type.Union([Value, Type.Null()])]))

const AnswerMeta = {
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
}

const Groups = Type.Object({
  groups: Type.Array(
    Type.Object({
      group: Type.Record(Type.String(), Type.Union([Type.String(), Type.Null()]), {
        description: 'By what `group_by` says: its name and value; null for devices without it.',
      }),
      points: Points,
    }),
  ),
  meta: Type.Object({
    series: Type.Integer({ description: 'So many series were asked.' }),
    ...AnswerMeta,
  }),
})

const Readings = Type.Object({
  points: Points,
  compare: Type.Optional(
    Type.Object({ points: Points }, { description: 'Of the earlier span, with `compare`.' }),
  ),
  meta: Type.Object({
    series: Type.Array(
      Type.Object({
        metric: Type.String(),
        dimensions: Type.Record(Type.String(), Type.String()),
      }),
      { description: 'The series that were merged.' },
    ),
    ...AnswerMeta,
  }),
})

function windowsRoute(ports: QueryPorts): Route {
  return jsonRoute({
    key: 'GET /v1/aggregations',
    summary: 'Tumbling windows of one metric',
    description: 'On-time and late readings merged. Windows without readings are left out.',
    tag: TAG,
    query: Type.Object({
      device_id: DeviceId,
      metric: Metric,
      window: Type.String({ description: 'A window size of the pipeline.', examples: ['1m'] }),
      start: Time,
      end: Time,
      dimension: Dimension,
    }),
    answers: { 200: jsonAnswer('By start.', Windows) },
    problems: ['API_NOT_FOUND', 'QUERY_LIMIT_EXCEEDED', 'QUERY_FAILED'],
    async handle({ tenant, query }) {
      const { type } = await requireDevice(ports, tenant, query.device_id)
      const question = seriesQuestion(tenant, query)
      const windowMs = parseWindow(query.window, ports.plan.windowsMs)
      const answer = await ports.query.windows({ ...question, windowMs })
      if (answer.windows.length === 0) checkMetric(ports, type, query.metric)
      return { status: 200, json: answer }
    },
  })
}

const Window = Type.Object({
  window_start: Milliseconds,
  count: Type.Integer(),
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
  meta: Type.Object({
    completeness: Completeness,
    segments_damaged: SegmentsDamaged,
    frozen: Frozen,
    cached: Cached,
  }),
})

function parseWindow(text: string, windowsMs: number[]): number {
  const ms = (parseDurationUs(text) ?? 0) / 1000
  if (windowsMs.includes(ms)) return ms
  const known = windowsMs.map((size) => formatDurationUs(size * 1000)).join(', ')
  throw invalidParameter('window', `"${text}" is not one of the pipeline’s windows: ${known}`)
}

function seriesQuestion(
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
function checkMetric({ plan }: ApiPorts, typeName: string, metric: string): void {
  const type = plan.types[typeName]
  if (type === undefined || !type.isStrict) return
  const known = type.schemas.flatMap((schema) => schema.metrics.map(({ name }) => name))
  if (known.includes(metric)) return
  const hint = suggest(metric, [...new Set(known)])
  throw new WeirError('API_NOT_FOUND', `metric: ${typeName} has no metric "${metric}"${hint}`)
}

const EventsQuery = Type.Object({ device_id: Type.Optional(DeviceId), limit: Limit })

const DEFAULT_LIMIT = 100

const toFilter = (tenant: string, query: { device_id?: string; limit?: number }): EventsFilter => ({
  tenant,
  deviceId: query.device_id,
  limit: query.limit ?? DEFAULT_LIMIT,
})

function anomaliesRoute(ports: QueryPorts): Route {
  const Anomaly = Type.Object({
    id: Type.String(),
    device_id: Type.String(),
    metric: Type.String(),
    detector_id: Type.String(),
    ts: Milliseconds,
    value: Type.Number(),
    score: Type.Number(),
  })
  return jsonRoute({
    key: 'GET /v1/anomalies',
    summary: 'Readings that a detector found unusual, newest first',
    tag: TAG,
    query: EventsQuery,
    answers: {
      200: jsonAnswer('Anomalies.', Type.Object({ anomalies: Type.Array(Anomaly), meta: Meta })),
    },
    problems: ['API_NOT_FOUND', 'QUERY_FAILED'],
    async handle({ tenant, query }) {
      if (query.device_id !== undefined) await requireDevice(ports, tenant, query.device_id)
      const filter = toFilter(tenant, query)
      const { rows: anomalies, meta } = await withMeta(ports, (query) => query.anomalies(filter))
      return { status: 200, json: { anomalies, meta } }
    },
  })
}

function deadLettersRoute(ports: QueryPorts): Route {
  const DeadLetter = Type.Object({
    id: Type.String(),
    device_id: Type.String({ description: 'Empty when the message named none.' }),
    received_at: Milliseconds,
    code: Type.String(),
    detail: Type.String(),
    payload: Type.String({ description: 'As it came, cut at 64 KB.' }),
  })
  return jsonRoute({
    key: 'GET /v1/dead-letters',
    summary: 'Messages that were refused, newest first',
    tag: TAG,
    // Any text: a dead letter may name a device that was never registered.
    query: Type.Object({ device_id: Type.Optional(Type.String()), limit: Limit }),
    answers: {
      200: jsonAnswer('Dead letters.', Type.Object({ items: Type.Array(DeadLetter), meta: Meta })),
    },
    problems: ['QUERY_FAILED'],
    async handle({ tenant, query }) {
      const filter = toFilter(tenant, query)
      const { rows: items, meta } = await withMeta(ports, (query) => query.deadLetters(filter))
      return { status: 200, json: { items, meta } }
    },
  })
}
