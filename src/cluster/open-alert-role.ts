/** The alerts of a control process with everything that they need from it. */
import type { AlertRecord } from '../alerts/alerts.ts'
import { alertJson } from '../api/api.ts'
import type { PostgresControl } from '../control/postgres-control.ts'
import { alertParts } from '../embedded/alert-parts.ts'
import type { Query } from '../query/query.ts'
import { nodeWorld } from '../world/node-world.ts'
import { AlertRole } from './alert-role.ts'
import type { Shared } from './cluster.ts'
import type { Live } from './live.ts'
import { TopicRulePublisher } from './rule-publisher.ts'

/** Errors: STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER. */
export async function openAlertRole(
  shared: Shared,
  { control, query, live }: { control: PostgresControl; query: Query; live: Live },
): Promise<AlertRole> {
  const { config, plan, topics, events } = shared
  const publisher = new TopicRulePublisher(topics, nodeWorld.clock)
  const parts = alertParts({
    ...{ config, plan, control, database: control.database, query, publisher },
    onProblem: (problem) => events?.roleFailed({ role: 'rules', problem }),
  })
  const changed = (records: readonly AlertRecord[]): void => {
    for (const record of records) {
      live.sink.publish(record.tenant, { event: 'alert', data: alertJson(record) })
    }
  }
  return AlertRole.open(shared, { ...parts, publisher, changed })
}
