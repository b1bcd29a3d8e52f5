/** The archive of the bucket of cold readings: its rule, and what is asked back from it. */
import { Type, type Static } from 'typebox'
import type { ArchiveQuestion, ArchiveStatus, LifecycleRule, LifecycleStatus } from '../api.ts'
import type { StoragePorts } from '../api.ts'
import { invalidParameter } from '../parameters.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { Time } from '../shapes.ts'
import { parseTime } from '../times.ts'

const TAG = 'storage'
/** A year; what is wanted for longer had better be copied. */
const RESTORE_DAYS_MAX = 365
const RESTORE_DAYS_DEFAULT = 7

export function archiveRoutes({ ports }: Services<StoragePorts>): Route[] {
  return [...lifecycleRoutes(ports), ...restoreRoutes(ports)]
}

const Rule = Type.Object({
  freeze_after_days: Type.Union([Type.Integer(), Type.Null()]),
  storage_class: Type.Union([Type.String(), Type.Null()]),
  expire_after_days: Type.Union([Type.Integer(), Type.Null()], {
    description: 'Null where nothing is to be deleted, or not before it was exported.',
  }),
})

const Lifecycle = Type.Object({
  found: Type.Union([Rule, Type.Null()], {
    description: 'What the bucket has; null: none of ours.',
  }),
  configured: Rule,
})

function ruleJson({ freeze, expireAfterDays }: LifecycleRule): Static<typeof Rule> {
  return {
    freeze_after_days: freeze?.afterDays ?? null,
    storage_class: freeze?.storageClass ?? null,
    expire_after_days: expireAfterDays ?? null,
  }
}

const lifecycleJson = ({ found, configured }: LifecycleStatus): Static<typeof Lifecycle> => ({
  found: found === undefined ? null : ruleJson(found),
  configured: ruleJson(configured),
})

function lifecycleRoutes({ storage }: StoragePorts): Route[] {
  const common = {
    tag: TAG,
    answers: {
      200: jsonAnswer('The rules. Days count from when a file was put there.', Lifecycle),
    },
    problems: ['ARCHIVE_ABSENT', 'OBJECTS_UNAVAILABLE', 'OBJECTS_REFUSED'] as const,
  }
  return [
    jsonRoute({
      ...common,
      key: 'GET /v1/storage/lifecycle',
      summary: 'When the bucket of cold readings archives and deletes them',
      async handle() {
        return { status: 200, json: lifecycleJson(await storage.lifecycle()) }
      },
    }),
    jsonRoute({
      ...common,
      key: 'PUT /v1/storage/lifecycle',
      summary: 'Gives that bucket the configured rule; its other rules stay',
      async handle() {
        return { status: 200, json: lifecycleJson(await storage.setLifecycle()) }
      },
    }),
  ]
}

const Asked = {
  from: Time,
  to: Time,
  device_id: Type.Optional(
    Type.String({ minLength: 1, description: 'Files that hold some of it.' }),
  ),
  type: Type.Optional(Type.String({ minLength: 1, description: 'The same, of a device type.' })),
}

const Count = Type.Object({ files: Type.Integer(), bytes: Type.Integer() })
const Restores = Type.Object({
  readable: Count,
  frozen: Count,
  thawing: Type.Object(Count.properties, { description: 'Asked for, and not there yet.' }),
  missing: Count,
})

interface AskedValues {
  from: string
  to: string
  device_id?: string
  type?: string
}

function questionOf({ from, to, device_id: deviceId, type: deviceType }: AskedValues) {
  const question: ArchiveQuestion = {
    ...{ startUs: parseTime(from, 'from'), endUs: parseTime(to, 'to') },
    ...{ deviceId, deviceType },
  }
  if (question.startUs < question.endUs) return question
  throw invalidParameter('to', 'must be behind from')
}

function restoreRoutes({ storage }: StoragePorts): Route[] {
  const problems = ['ARCHIVE_ABSENT', 'QUERY_LIMIT_EXCEEDED', 'OBJECTS_UNAVAILABLE'] as const
  const answer = (status: ArchiveStatus): Static<typeof Restores> => status
  return [
    jsonRoute({
      key: 'GET /v1/storage/restores',
      summary: 'How many cold files of a time are in the archive, and how many are coming back',
      tag: TAG,
      query: Type.Object(Asked),
      answers: { 200: jsonAnswer('Their files, as the bucket says now.', Restores) },
      problems,
      async handle({ query }) {
        return { status: 200, json: answer(await storage.archived(questionOf(query))) }
      },
    }),
    jsonRoute({
      key: 'POST /v1/storage/restores',
      summary: 'Asks for what the archive has of a time; hours later questions find it',
      description: 'Idempotent: what was asked for, or is back, is not asked for again.',
      tag: TAG,
      body: Type.Object({
        ...Asked,
        days: Type.Optional(
          Type.Integer({
            ...{ minimum: 1, maximum: RESTORE_DAYS_MAX, default: RESTORE_DAYS_DEFAULT },
            description: 'How long it stays readable.',
          }),
        ),
      }),
      answers: { 202: jsonAnswer('Their files, behind the request.', Restores) },
      problems,
      async handle({ body }) {
        const { days = RESTORE_DAYS_DEFAULT } = body
        const status = await storage.restoreArchived(questionOf(body), days)
        return { status: 202, json: answer(status) }
      },
    }),
  ]
}
