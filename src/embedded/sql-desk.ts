/** Statements of SQL, over the threads: what is in memory is written first, then a process asks. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AlertRecord, Alerts } from '../alerts/alerts.ts'
import type { SqlDesk } from '../api/api.ts'
import { eachDevice, type Control, type Device } from '../control/control.ts'
import type { SqlLimits, SqlSource } from '../sql/sql.ts'
import { SQL_FOLDER } from '../storage/sql-files.ts'
import type { Clock, Random } from '../world/world.ts'
import { isoTime } from './iso-time.ts'
import { SqlRunner } from './sql-runner.ts'
import type { Threads } from './start-threads.ts'

/** The newest: who wants older ones asks the API. */
const ALERTS_MAX = 100_000

export interface SqlDeskParts {
  folder: string
  windowsMs: number[]
  control: Pick<Control, 'listDevices'>
  alerts: Pick<Alerts, 'list'>
  threads: Pick<Threads, 'storage'>
  clock: Clock
  random: Random
  limits: SqlLimits
  /** Statements at once; more wait. */
  atOnce: number
  flush: () => Promise<void>
}

export class ThreadSql implements SqlDesk {
  readonly #parts: SqlDeskParts
  readonly #runner: SqlRunner
  #files = 0

  constructor(parts: SqlDeskParts) {
    this.#parts = parts
    this.#runner = new SqlRunner(parts)
  }

  async run(tenant: string, sql: string, signal: AbortSignal) {
    const { threads, clock, windowsMs, flush } = this.#parts
    await flush()
    const { id, files } = await threads.storage.openSql()
    const tables: string[] = []
    const table = async (name: string, rows: () => Promise<unknown[]>) => {
      // Whether it really asks is known only behind the parser.
      if (!new RegExp(name, 'i').test(sql)) return undefined
      const path = await this.#write(name, await rows())
      tables.push(path)
      return path
    }
    try {
      const source: SqlSource = {
        ...{ ...files, tenant, windowsMs, nowUs: clock.nowUs() },
        devices: await table('devices', () => this.#devices(tenant)),
        alerts: await table('alerts', () => this.#alerts(tenant)),
      }
      return await this.#runner.run(sql, source, signal)
    } finally {
      await threads.storage.closeSql(id)
      for (const path of tables) await rm(path, { force: true })
    }
  }

  async #write(name: string, rows: readonly unknown[]): Promise<string> {
    const path = join(this.#parts.folder, SQL_FOLDER, `${name}-${this.#files++}.ndjson`)
    await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''), { mode: 0o600 })
    return path
  }

  async #devices(tenant: string): Promise<unknown[]> {
    const rows: unknown[] = []
    for await (const device of eachDevice(this.#parts.control, tenant)) rows.push(deviceRow(device))
    return rows
  }

  async #alerts(tenant: string): Promise<unknown[]> {
    const found = await this.#parts.alerts.list(tenant, { limit: ALERTS_MAX })
    return found.map(alertRow)
  }

  close(): void {
    this.#runner.close()
  }
}

const deviceRow = (device: Device) => ({
  ...{ device_id: device.id, type: device.type, location: device.location ?? null },
  ...{ tags: JSON.stringify(device.tags), parent: device.parent ?? null },
  ...{ gateway: device.isGateway, created_at: isoTime(device.createdAtUs) },
})

const alertRow = (alert: AlertRecord) => ({
  ...{ id: alert.id, device_id: alert.deviceId, rule_id: alert.ruleId },
  ...{ severity: alert.severity, state: alert.state, occurrences: alert.occurrences },
  triggered_at: isoTime(alert.triggeredAtUs),
  resolved_at: alert.resolvedAtUs === undefined ? null : isoTime(alert.resolvedAtUs),
})
