/** Readings of one metric: raw, downsampled or aggregated, of one device or many. */
import { Type, type Static } from 'typebox'
import { AGGREGATES, FILLS, startOfStepBehind, stepsBefore } from '../../query/query.ts'
import type { ReadingsAnswer, ReadingsQuestion } from '../../query/query.ts'
import {
  FORMATS,
  formatOf,
  OTHER_MEDIA_TYPES,
  pointsAsTable,
  type Format,
} from '../answer-format.ts'
import type { QueryPorts } from '../api.ts'
import { readCursor, writeCursor } from '../page-cursor.ts'
import { invalidParameter } from '../parameters.ts'
import { NOT_MODIFIED, questionAnswer, type QuestionAnswer } from '../question-answer.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { DeviceId, Metric, Milliseconds, Time, Value } from '../shapes.ts'
import { parseEarlier, parseGrid } from '../times.ts'
import { requireDevice } from './devices.ts'
import {
  GROUP_PARAMETERS,
  groupsAsJson,
  groupsAsTable,
  groupsAsText,
  groupsOf,
  GroupsQuery,
} from './group-query.ts'
import { pointsAsText } from './rows-text.ts'
import {
  AnswerMeta,
  checkMetric,
  Dimension,
  QUESTION_PROBLEMS,
  seriesQuestion,
} from './series-question.ts'

const TAG = 'queries'

const POINTS_MAX = 10_000

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
      description:
        'The same of so much earlier beside it, at the times of now: 1d, 1w; a whole number of ' +
        'steps. Of steps of the calendar also 1mo, 1y.',
    }),
  ),
  format: Type.Optional(
    Type.Enum(FORMATS, {
      description:
        'Instead of Accept. ndjson: a line {"ts", "value"} a point; csv: time in RFC 3339, value; ' +
        'arrow (IPC stream), parquet: columns time, value.',
    }),
  ),
  max_points: Type.Optional(Type.Integer({ minimum: 1, maximum: POINTS_MAX, default: POINTS_MAX })),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: POINTS_MAX,
      description: 'Readings as they are, so many a page; the answer has `next`. Not with agg.',
    }),
  ),
  cursor: Type.Optional(
    Type.String({ maxLength: 200, description: 'With limit: `next` of the page before.' }),
  ),
  dimension: Dimension,
})

export function readingsRoute({ ports, gates, limits }: Services<QueryPorts>): Route {
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
        otherMediaTypes: OTHER_MEDIA_TYPES,
      },
      304: NOT_MODIFIED,
    },
    problems: ['API_NOT_FOUND', ...QUESTION_PROBLEMS],
    async handle({ tenant, query, reply, request }) {
      const { compare } = query
      const format = formatOf(query.format, request.headers.accept)
      if (compare !== undefined && format !== 'json') {
        throw invalidParameter('compare', 'is for answers in JSON')
      }
      const asked: Asked = {
        ports,
        query,
        tenant,
        format,
        run: (work) => gates.query.run({ tenant, reply }, work),
      }
      const answer =
        query.device_id === undefined
          ? await askGroups(asked)
          : await askDevice(asked, query.device_id)
      return questionAnswer(answer, { request, limits })
    },
  })
}

interface Asked {
  ports: QueryPorts
  query: ReadingsParameters
  tenant: string
  format: Format
  /** Waits for its turn. */
  run: <T>(work: (signal: AbortSignal) => Promise<T>) => Promise<T>
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

async function askDevice(
  { ports, query, tenant, format, run }: Asked,
  deviceId: string,
): Promise<QuestionAnswer> {
  const { type } = await requireDevice(ports, tenant, deviceId)
  for (const name of GROUP_PARAMETERS) {
    if (query[name] !== undefined)
      throw invalidParameter(name, 'is for questions without device_id')
  }
  const question = withPage(query, {
    ...seriesQuestion(tenant, { ...query, device_id: deviceId }),
    ...stepsQuestion(query),
  })
  const earlier = earlierOf(question, query.compare)
  const [answer, before] = await run(async (signal) => [
    await ports.query.readings(question, signal),
    earlier && (await ports.query.readings(earlier.question, signal)),
  ])
  if (answer.meta.series.length === 0) checkMetric(ports, type, query.metric)
  const { points, next: place, meta } = answer
  const next = place === undefined ? null : writeCursor(question, place)
  const json = question.page === undefined ? { points, meta } : { points, next, meta }
  const headers = next === null ? {} : { link: linkTo(query, next) }
  if (format === 'arrow' || format === 'parquet') {
    const how = { format, groupName: undefined }
    return { json, headers, other: await pointsAsTable([{ points }], how) }
  }
  if (format !== 'json') return { json, headers, other: pointsAsText(points, query.metric, format) }
  if (earlier === undefined || before === undefined) return { json, headers }
  const compare = { points: earlier.atNow(before.points), meta: before.meta }
  return { json: { ...json, compare } }
}

async function askGroups({ ports, query, tenant, format, run }: Asked): Promise<QuestionAnswer> {
  const { agg: aggregate, group_by: by, metric } = query
  for (const name of ['limit', 'cursor'] as const) {
    if (query[name] !== undefined) throw invalidParameter(name, 'needs device_id')
  }
  if (aggregate === undefined) {
    const aggregates = AGGREGATES.join(', ')
    throw invalidParameter('device_id', `is required, or agg for all devices: ${aggregates}`)
  }
  const { deviceId: _, ...span } = seriesQuestion(tenant, { ...query, device_id: '' })
  const groups = await groupsOf(ports, tenant, query)
  const question = { ...span, ...stepsQuestion(query), ...groups, aggregate }
  const earlier = earlierOf(question, query.compare)
  const [answer, before] = await run(async (signal) => [
    await ports.query.groups(question, signal),
    earlier && (await ports.query.groups(earlier.question, signal)),
  ])
  const json = groupsAsJson(answer, by)
  if (format === 'arrow' || format === 'parquet') {
    return { json, other: await groupsAsTable(answer, by, format) }
  }
  if (format !== 'json') return { json, other: groupsAsText(answer, { by, metric, format }) }
  if (earlier === undefined || before === undefined) return { json }
  const ofThen = before.groups.map((one) => ({ ...one, points: earlier.atNow(one.points) }))
  const compare = groupsAsJson({ ...before, groups: ofThen }, by)
  return { json: { ...json, compare } }
}

/** Errors: API_PARAMETER_INVALID. */
function withPage(
  { limit, cursor, agg, max_points: pointsMax, compare }: ReadingsParameters,
  question: ReadingsQuestion,
): ReadingsQuestion {
  if (limit === undefined) {
    if (cursor !== undefined) throw invalidParameter('cursor', 'needs limit')
    return question
  }
  const other = agg ?? pointsMax ?? compare
  if (other !== undefined) {
    throw invalidParameter('limit', 'is for readings as they are: without agg, max_points, compare')
  }
  const after = cursor === undefined ? undefined : readCursor(question, cursor)
  return { ...question, page: { limit, after } }
}

/** For whoever cannot read `next` in the body [RFC 8288]. */
function linkTo(query: ReadingsParameters, cursor: string): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries({ ...query, cursor })) {
    for (const one of [value].flat()) parameters.append(name, String(one))
  }
  return `</v1/query?${parameters.toString()}>; rel="next"`
}

/** The same of the earlier span that `compare` says, and its points at the times of now. */
function earlierOf<Q extends Pick<ReadingsQuestion, 'startUs' | 'endUs' | 'stepUs' | 'calendar'>>(
  question: Q,
  compare: string | undefined,
): { question: Q; atNow: (points: Points) => Points } | undefined {
  if (compare === undefined) return undefined
  const by = parseEarlier(compare, question)
  const { startUs, endUs, calendar } = question
  const [before, behind] =
    'us' in by
      ? [(us: number) => us - by.us, (us: number) => us + by.us]
      : [
          (us: number) => stepsBefore(calendar!, us, by.steps),
          // By their number: days and months are not of one length.
          (us: number) => startOfStepBehind(calendar!, us, by.steps),
        ]
  return {
    question: { ...question, startUs: before(startUs), endUs: before(endUs) },
    atNow: (points) => points.map(([ms, value]) => [behind(ms * 1000) / 1000, value]),
  }
}

type Points = ReadingsAnswer['points']

const Points = Type.Array(Type.Tuple([Milliseconds, Type.Union([Value, Type.Null()])]))

const SomeGroups = {
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
}

const Groups = Type.Object({
  ...SomeGroups,
  compare: Type.Optional(
    Type.Object(SomeGroups, { description: 'Of the earlier span, with `compare`.' }),
  ),
})

const SomeReadings = {
  points: Points,
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
}

const Readings = Type.Object({
  ...SomeReadings,
  next: Type.Optional(
    Type.Union([Type.String(), Type.Null()], {
      description: 'With limit: cursor of the page behind; null: there is none now.',
    }),
  ),
  compare: Type.Optional(
    Type.Object(SomeReadings, { description: 'Of the earlier span, with `compare`.' }),
  ),
})
