/** What the receipt of an erasure says on a cluster; see docs/erasure.md. */
import { isoTime } from '../embedded/iso-time.ts'
import type { ListedErasure } from '../postgres/erasure-list.ts'
import type { ErasedFile } from '../postgres/erasure-tables.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { Shared } from './cluster.ts'

/** What has no beginning begins here: 1684. */
export const EVER_US = -9e15

const EVENT_TABLES = ['anomaly', 'dead_letter']

/** What went, from everywhere. */
export interface ErasedEverywhere {
  /** By table, of each store. */
  rows: readonly (readonly [table: string, rows: number])[]
  files: readonly ErasedFile[]
  alerts: { removed: number; stillFiring: number }
}

/** Errors: LOG_UNAVAILABLE. */
export async function receiptOf(
  shared: Shared,
  erasure: ListedErasure,
  { rows, files, alerts }: ErasedEverywhere,
): Promise<Record<string, unknown>> {
  const nowUs = nodeWorld.clock.nowUs()
  const { id, tenant, deviceIds, fromUs, toUs, requestedAtUs } = erasure
  const isFrozen = ({ place }: ErasedFile): boolean => place === 'frozen'
  const countOf = (isWanted: (table: string) => boolean): number =>
    rows.reduce((sum, [table, count]) => sum + (isWanted(table) ? count : 0), 0)
  const tables = [...new Set(rows.map(([table]) => table))].filter(
    (table) => !EVENT_TABLES.includes(table),
  )
  const keptUntil = await keptUntilOf(shared, nowUs)
  return {
    ...{ id, tenant, devices: deviceIds },
    from: fromUs === EVER_US ? null : isoTime(fromUs),
    to: isoTime(toUs),
    requested_at: isoTime(requestedAtUs),
    finished_at: isoTime(nowUs),
    rows: Object.fromEntries(tables.map((table) => [table, countOf((one) => one === table)])),
    files: files.filter((file) => !isFrozen(file)).map(fileJson),
    frozen: files.filter(isFrozen).map(({ key, crcBefore }) => ({
      ...{ file: key, crc32: crcBefore ?? null },
    })),
    dead_letters_and_anomalies: countOf((table) => EVENT_TABLES.includes(table)),
    alerts: { removed: alerts.removed, still_firing: alerts.stillFiring },
    log: { kept_until: keptUntil },
    stream_forgets_by: isoTime(nowUs + shared.config.stream.stateTtlUs),
    not_erased: notErased(shared, Object.values(keptUntil).includes(null)),
  }
}

const fileJson = ({ key, place, crcBefore, keyAfter, crcAfter, rows }: ErasedFile) => ({
  ...{ file: key, place, rows },
  crc32_before: crcBefore ?? null,
  file_after: keyAfter ?? null,
  crc32_after: crcAfter ?? null,
})

/** When Kafka has deleted it, by topic; null: by itself it never does. */
async function keptUntilOf(
  { topics }: Shared,
  nowUs: number,
): Promise<Record<string, string | null>> {
  const generations = await topics.generations()
  const growing = (['telemetry', 'readings', 'windows'] as const).flatMap((kind) =>
    generations.map((generation) => topics.name(kind, generation)),
  )
  const steady = (['events', 'dead-letters'] as const).map((kind) => topics.nameOf(kind))
  const until = [...growing, ...steady].map(async (topic) => {
    const keptMs = await topics.kafka.keptMs(topic)
    return [topic, keptMs === undefined ? null : isoTime(nowUs + keptMs * 1000)] as const
  })
  return Object.fromEntries(await Promise.all(until))
}

function notErased({ config }: Shared, isKeptForEver: boolean): string[] {
  const { sink, lake } = config
  return [
    'copies that were made of PostgreSQL and of the bucket: backups, replicas, archived logs, versions of objects where the bucket keeps those',
    'free space of PostgreSQL’s pages and its log, until PostgreSQL writes over it',
    'frozen: files in the archive of the bucket; what they hold of it is not shown, and goes when the bucket deletes them, or by erasing again when they were asked back',
    'the registry’s entry of the device, and the names of its metrics and dimensions',
    'log: what Kafka keeps until the date of its topic, and for as long what devices send of it again; it is not stored again',
    ...(isKeptForEver
      ? ['log: topics without a date are kept for ever, or this user of Kafka is not told']
      : []),
    ...(sink.kind === 'off'
      ? []
      : [`the copy in the sink (${sink.kind}), which is its own to erase`]),
    ...(lake.bucket === '' ? ['a lake: none was configured where this was done'] : []),
  ]
}
