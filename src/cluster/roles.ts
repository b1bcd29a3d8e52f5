/**
 * What a process of a cluster does. A small installation runs all roles in one process, a large one
 * many processes of each.
 *
 *   gateway   MQTT and HTTP doors → Kafka
 *   stream    keeps the job of Flink: Kafka → windows, rules, anomalies → Kafka
 *   writer    Kafka → PostgreSQL
 *   lake      Kafka → Parquet in an object store, where there is a bucket
 *   sink      Kafka → another time series database, where one is named
 *   control   registry, queries, live events, the page
 */
import type { Config } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'

export const ROLES = ['gateway', 'stream', 'writer', 'lake', 'sink', 'control'] as const
export type Role = (typeof ROLES)[number]

const isRole = (name: string): name is Role => (ROLES as readonly string[]).includes(name)

/** `all` that can be, or names with commas between. Errors: CLI_USAGE_INVALID. */
export function parseRoles(text: string, { lake, sink }: Config): ReadonlySet<Role> {
  if (text === 'all') {
    const isOff: Partial<Record<Role, boolean>> = {
      lake: lake.bucket === '',
      sink: sink.kind === 'off',
    }
    return new Set(ROLES.filter((role) => isOff[role] !== true))
  }
  const names = text.split(',').map((name) => name.trim())
  const roles = names.filter(isRole)
  if (roles.length === names.length) return new Set(roles)
  const unknown = names.find((name) => !isRole(name))
  throw new WeirError(
    'CLI_USAGE_INVALID',
    `there is no role "${unknown}"; there are ${ROLES.join(', ')} and all`,
  )
}
