/** What storage holds, and backups of it. */
import { Type } from 'typebox'
import { WeirError } from '../../errors/errors.ts'
import type { ExportDesk, StoragePorts } from '../api.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { Milliseconds, Time } from '../shapes.ts'
import { parseTime } from '../times.ts'

const TAG = 'storage'

const OptionalMilliseconds = Type.Union([Milliseconds, Type.Null()])
const OptionalNumber = Type.Union([Type.Number(), Type.Null()])

export function storageRoutes({ ports }: Services<StoragePorts>): Route[] {
  return [
    ...[reportRoute(ports), flushRoute(ports), exportedRoute(ports.storage)],
    ...[...verificationRoutes(ports), ...backupRoutes(ports)],
  ]
}

const Report = Type.Object({
  tiers: Type.Array(
    Type.Object({
      tier: Type.Enum(['hot', 'warm', 'cold', 'rollups']),
      files: Type.Integer(),
      rows: Type.Integer({ description: 'Readings; of rollups, windows.' }),
      bytes: Type.Integer(),
      oldest: OptionalMilliseconds,
      newest: OptionalMilliseconds,
    }),
  ),
  readings_in_memory: Type.Integer(),
  segments_damaged: Type.Integer(),
  merge_debt: Type.Integer({ description: 'Segments that wait to be merged.' }),
  disk: Type.Object({
    free_bytes: Type.Integer(),
    bytes_per_day: OptionalNumber,
    full_in_days: Type.Union([Type.Number(), Type.Null()], {
      description: 'At that rate; null: it will not be, or nobody knows yet.',
    }),
  }),
})

function reportRoute({ storage }: StoragePorts): Route {
  return jsonRoute({
    key: 'GET /v1/storage',
    summary: 'What storage holds, tier by tier, and how long its disk will do',
    tag: TAG,
    answers: { 200: jsonAnswer('Tiers and disk.', Report) },
    async handle() {
      const report = await storage.report()
      const json = {
        tiers: report.tiers.map(({ oldestUs, newestUs, ...tier }) => ({
          ...tier,
          oldest: oldestUs === undefined ? null : oldestUs / 1000,
          newest: newestUs === undefined ? null : newestUs / 1000,
        })),
        readings_in_memory: report.readingsInMemory,
        segments_damaged: report.segmentsDamaged,
        merge_debt: report.mergeDebt,
        disk: {
          free_bytes: report.diskFreeBytes,
          bytes_per_day: report.bytesPerDay ?? null,
          full_in_days: report.diskFullInDays ?? null,
        },
      }
      return { status: 200, json }
    },
  })
}

function flushRoute({ storage }: StoragePorts): Route {
  return jsonRoute({
    key: 'POST /v1/storage/flush',
    summary: 'Writes what is in memory into segments, and waits until it is there',
    tag: TAG,
    answers: { 204: { description: 'It is there.' } },
    async handle() {
      await storage.flush()
      return { status: 204 }
    },
  })
}

export function exportedRoute(desk: ExportDesk): Route {
  return jsonRoute({
    key: 'POST /v1/storage/exported',
    summary: 'Confirms that readings were exported, and may be deleted when their age is over',
    description: 'Counts only where the pipeline’s `retention.export` is true.',
    tag: TAG,
    body: Type.Object({ before: Time }),
    answers: { 204: { description: 'It is noted.' } },
    async handle({ body }) {
      await desk.confirmExported(parseTime(body.before, 'before'))
      return { status: 204 }
    },
  })
}

const Started = Type.Object({ id: Type.String() })

const Verification = Type.Object({
  id: Type.String(),
  state: Type.Enum(['running', 'done', 'failed']),
  problem: Type.Union([Type.String(), Type.Null()]),
  files_done: Type.Integer(),
  files_total: Type.Integer(),
  bytes_done: Type.Integer(),
  bytes_total: Type.Integer(),
  damaged: Type.Array(
    Type.Object({ file: Type.String(), problem: Type.String(), rows: Type.Integer() }),
    { description: 'Files that no answer holds any more: put them back from a backup.' },
  ),
})

function verificationRoutes({ storage }: StoragePorts): Route[] {
  return [
    jsonRoute({
      key: 'POST /v1/storage/verifications',
      summary: 'Reads every file again, here and in the object store, against its checksum',
      tag: TAG,
      answers: { 202: jsonAnswer('It is under way.', Started) },
      problems: ['VERIFICATION_RUNNING'],
      async handle() {
        return { status: 202, json: { id: await storage.startVerification() } }
      },
    }),
    jsonRoute({
      key: 'GET /v1/storage/verifications/{id}',
      summary: 'How far a verification is, and what it found',
      tag: TAG,
      answers: { 200: jsonAnswer('Its state.', Verification) },
      problems: ['API_NOT_FOUND'],
      async handle({ id }) {
        const status = await storage.verification(id)
        if (status === undefined) {
          throw new WeirError('API_NOT_FOUND', `there is no verification "${id}"`)
        }
        const { state, problem = null, progress } = status
        const json = {
          ...{ id, state, problem, damaged: progress?.damaged ?? [] },
          files_done: progress?.filesDone ?? 0,
          files_total: progress?.filesTotal ?? 0,
          bytes_done: progress?.bytesDone ?? 0,
          bytes_total: progress?.bytesTotal ?? 0,
        }
        return { status: 200, json }
      },
    }),
  ]
}

const Status = Type.Object({
  id: Type.String(),
  state: Type.Enum(['running', 'done', 'failed']),
  name: Type.Union([Type.String(), Type.Null()], {
    description: 'Of the backup, once it is done.',
  }),
  files_done: Type.Integer(),
  files_total: Type.Integer(),
  bytes_done: Type.Integer(),
  bytes_total: Type.Integer(),
  bytes_copied: Type.Integer({ description: 'What was not there from earlier backups.' }),
  problem: Type.Union([Type.Object({ code: Type.String(), detail: Type.String() }), Type.Null()]),
})

const Pruned = Type.Object({
  removed: Type.Array(Type.String(), { description: 'Names of backups, the oldest first.' }),
  kept: Type.Array(Type.String()),
  pieces: Type.Integer({ description: 'Objects that no backup needs any more.' }),
  bytes: Type.Integer(),
})

const Place = Type.String({
  minLength: 1,
  description: 'An absolute path of the server’s machine, or s3://bucket/prefix.',
})

function backupRoutes({ storage }: StoragePorts): Route[] {
  return [
    jsonRoute({
      key: 'POST /v1/backups',
      summary: 'Makes a backup of everything that was acknowledged until now',
      description:
        'In the background, while all goes on. What is there from earlier backups is not copied ' +
        'again. The credentials of a bucket are those of the server’s environment.',
      tag: TAG,
      body: Type.Object({ to: Place }),
      answers: { 202: jsonAnswer('It is being made.', Started) },
      problems: ['BACKUP_RUNNING', 'OBJECTS_UNAVAILABLE'],
      async handle({ body }) {
        return { status: 202, json: { id: await storage.startBackup(body.to) } }
      },
    }),
    jsonRoute({
      key: 'DELETE /v1/backups',
      summary: 'Removes the oldest backups of a place',
      description: 'And what none of those that stay needs.',
      tag: TAG,
      query: Type.Object({
        to: Place,
        keep: Type.Integer({ minimum: 1, description: 'So many of the newest stay.' }),
      }),
      answers: { 200: jsonAnswer('What went and what stays.', Pruned) },
      problems: ['BACKUP_RUNNING', 'BACKUP_DAMAGED', 'OBJECTS_UNAVAILABLE'],
      async handle({ query: { to, keep } }) {
        return { status: 200, json: await storage.pruneBackups(to, keep) }
      },
    }),
    jsonRoute({
      key: 'GET /v1/backups/{id}',
      summary: 'How far a backup is',
      tag: TAG,
      answers: { 200: jsonAnswer('Its state.', Status) },
      problems: ['API_NOT_FOUND'],
      async handle({ id }) {
        const status = await storage.backup(id)
        if (status === undefined) throw new WeirError('API_NOT_FOUND', `there is no backup "${id}"`)
        const { state, name = null, problem = null, progress } = status
        const json = {
          ...{ id, state, name, problem },
          files_done: progress?.filesDone ?? 0,
          files_total: progress?.filesTotal ?? 0,
          bytes_done: progress?.bytesDone ?? 0,
          bytes_total: progress?.bytesTotal ?? 0,
          bytes_copied: progress?.bytesCopied ?? 0,
        }
        return { status: 200, json }
      },
    }),
  ]
}
