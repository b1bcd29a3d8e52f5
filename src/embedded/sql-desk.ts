/**
 * Statements of SQL: a process of its own looks at one and says what it is about, whoever stores
 * brings what it can see into files, and the process runs it over those.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AlertRecord, Alerts } from '../alerts/alerts.ts'
import type { SqlDesk } from '../api/api.ts'
import { eachDevice, type Control, type Device } from '../control/control.ts'
import { WeirError } from '../errors/errors.ts'
import type { SqlAnswer, SqlFileSet, SqlLimits, SqlSource, View } from '../sql/sql.ts'
import type { Clock, Random } from '../world/world.ts'
import { isoTime } from './iso-time.ts'
import { needsOf, type SqlNeeds } from './sql-needs.ts'
import { SqlRunner } from './sql-runner.ts'

/** The newest: who wants older ones asks the API. */
const ALERTS_MAX = 100_000

/** Whoever has the readings. */
export interface SqlStore {
  /**
   * Files of all that a statement needs, and perhaps more, which stay until they are released; from
   * the signal on it need not go on. Errors: QUERY_LIMIT_EXCEEDED, OBJECT_FROZEN, and what else
   * keeps it from its readings.
   */
  open(
    needs: SqlNeeds,
    signal: AbortSignal,
  ): Promise<{ files: SqlFileSet; release: () => Promise<void> }>
}

export interface SqlDeskParts {
  /** For temporary files; it is there. */
  folder: string
  windowsMs: number[]
  control: Pick<Control, 'listDevices'>
  alerts: Pick<Alerts, 'list'>
  store: SqlStore
  clock: Clock
  random: Random
  limits: SqlLimits
  /** Statements at once; more wait. */
  atOnce: number
}

const NO_FILES: SqlFileSet = {
  ...{ readings: [], overlapping: [], cold: [], overlappingCold: [], uncertainCold: [], rows: [] },
  ...{ rollups: [], series: '', texts: '', dirty: '', erased: undefined },
  shownFromUs: undefined,
}

export class StatementDesk implements SqlDesk {
  readonly #parts: SqlDeskParts
  readonly #runner: SqlRunner
  #files = 0

  constructor(parts: SqlDeskParts) {
    this.#parts = parts
    this.#runner = new SqlRunner(parts)
  }

  async run(tenant: string, sql: string, signal: AbortSignal): Promise<SqlAnswer> {
    const { windowsMs } = this.#parts
    const { views, scopes } = await this.#runner.look(sql, signal)
    const needs = needsOf({ tenant, scopes, windowsMs })
    const { files, release } =
      needs === undefined
        ? { files: NO_FILES, release: async () => {} }
        : await this.#open(needs, signal)
    try {
      return await this.#runOver(files, { tenant, sql, views, signal })
    } finally {
      await release()
    }
  }

  /** As long as a statement may take. */
  async #open(needs: SqlNeeds, signal: AbortSignal): ReturnType<SqlStore['open']> {
    const { clock, limits, store } = this.#parts
    const late = new AbortController()
    const cancel = clock.after(limits.timeMs, () => {
      const detail = `It took longer than ${limits.timeMs} ms to bring its readings: narrow ts or device_id`
      const details = { limit: limits.timeMs }
      late.abort(new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details }))
    })
    try {
      return await store.open(needs, AbortSignal.any([signal, late.signal]))
    } finally {
      cancel()
    }
  }

  async #runOver(
    files: SqlFileSet,
    of: { tenant: string; sql: string; views: readonly View[]; signal: AbortSignal },
  ): Promise<SqlAnswer> {
    const { clock, windowsMs } = this.#parts
    const { tenant, sql, views, signal } = of
    const tables: string[] = []
    const table = async (view: View, rows: () => Promise<unknown[]>) => {
      if (!views.includes(view)) return undefined
      const path = this.#newPath(view)
      tables.push(path)
      const lines = (await rows()).map((row) => `${JSON.stringify(row)}\n`)
      await writeFile(path, lines.join(''), { mode: 0o600 })
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
      for (const path of tables) await rm(path, { force: true })
    }
  }

  #newPath(name: string): string {
    return join(this.#parts.folder, `${name}-${this.#files++}.ndjson`)
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
