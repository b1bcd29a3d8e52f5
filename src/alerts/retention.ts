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

/** Of which data is erased: event times, µs; the end is excluded. */
export interface AlertErasure {
  tenant: string
  deviceIds: readonly string[]
  fromUs: number
  toUs: number
}

/**
 * Alerts of these devices that began then, with their history and what was sent of them. One that
 * still fires stays until it ends: whoever is called must be able to see why.
 */
export async function removeOfDevices(
  store: AlertStore,
  { tenant, deviceIds, fromUs, toUs }: AlertErasure,
): Promise<{ removed: number; stillFiring: number }> {
  const count = { removed: 0, stillFiring: 0 }
  const among = 'WHERE tenant = $1 AND device_id = $2 AND triggered_at_us >= $3'
  for (const deviceId of deviceIds) {
    const values = [tenant, deviceId, fromUs, toUs]
    for (;;) {
      const clauses = `${among} AND triggered_at_us < $4 AND state = 'resolved' LIMIT 50`
      const alerts = await store.select('alert_state', clauses, values)
      for (const alert of alerts) {
        await removeMessages(store, alert)
        await removeAlert(store, alert)
      }
      count.removed += alerts.length
      if (alerts.length < 50) break
    }
    const firing = `${among} AND triggered_at_us < $4 AND state = 'firing'`
    count.stillFiring += (await store.select('alert_state', firing, values)).length
  }
  return count
}

async function removeMessages(store: AlertStore, alert: SqlRow): Promise<void> {
  const { tenant, id } = alert
  const clauses = 'WHERE tenant = $1 AND alert_id = $2'
  const notices = await store.select('notification', clauses, [tenant!, id!])
  for (const notice of notices) {
    const group = notice['group_id']
    if (typeof group !== 'string') continue
    const ofGroup = 'WHERE tenant = $1 AND group_id = $2'
    const messages = await store.select('message', ofGroup, [tenant!, group])
    await store.write(messages.map((row) => removal('message', row)))
  }
  await store.write(notices.map((row) => removal('notification', row)))
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
