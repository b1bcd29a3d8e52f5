/**
 * What is old is removed: alerts that ended, with their episodes and history, and deliveries that
 * came to an end. In small writes, since others wait meanwhile.
 */
import type { Change, SqlRow } from '../control/control.ts'
import { WRITTEN_KEYS } from '../control/control.ts'
import type { AlertStore, AlertTable } from './alert-store.ts'

const ROWS_MAX = 500

/** `isStopped` is asked between two writes. */
export async function removeOld(
  store: AlertStore,
  beforeUs: number,
  isStopped: () => boolean,
): Promise<void> {
  const old = `created_at_us < $1 AND state <> 'waiting' ORDER BY created_at_us LIMIT ${ROWS_MAX}`
  for (const table of ['notification', 'message'] as const) {
    while (!isStopped()) {
      const rows = await store.select(table, `WHERE ${old}`, [beforeUs])
      await store.write(rows.map((row) => removal(table, row)))
      if (rows.length < ROWS_MAX) break
    }
  }
  const ended = `WHERE last_us < $1 AND state = 'resolved' ORDER BY last_us LIMIT 50`
  while (!isStopped()) {
    const alerts = await store.select('alert_state', ended, [beforeUs])
    for (const alert of alerts) await removeAlert(store, alert)
    if (alerts.length < 50) break
  }
}

/** What belongs to it first, so that a crash leaves nothing that nobody finds. */
async function removeAlert(store: AlertStore, alert: SqlRow): Promise<void> {
  const { tenant, id } = alert
  for (const table of ['alert_episode', 'alert_history'] as const) {
    for (;;) {
      const clauses = `WHERE tenant = $1 AND alert_id = $2 LIMIT ${ROWS_MAX}`
      const rows = await store.select(table, clauses, [tenant!, id!])
      await store.write(rows.map((row) => removal(table, row)))
      if (rows.length < ROWS_MAX) break
    }
  }
  const expected = Number(alert['revision'])
  await store.write([{ ...removal('alert_state', alert), expected }])
}

function removal(table: AlertTable, row: SqlRow): Change {
  const keys = WRITTEN_KEYS[table].map((name) => [name, row[name]!] as const)
  return { table, remove: Object.fromEntries(keys) }
}
