/** Statements of SQL of a control process. */
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Alerts } from '../alerts/alerts.ts'
import type { Control } from '../control/control.ts'
import { StatementDesk } from '../embedded/sql-desk.ts'
import { sqlOptions } from '../embedded/stage-options.ts'
import type { DeviceLooks } from '../postgres/query-devices.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { Shared } from './cluster.ts'
import { StatementSource } from './statement-source.ts'

/** Below the data folder; emptied at each start. */
const FOLDER = 'spill'

export async function openSql(
  { config, plan }: Shared,
  { control, alerts, tables }: { control: Control; alerts: Alerts; tables: DeviceLooks },
): Promise<StatementDesk> {
  const folder = join(resolve(config.data), FOLDER)
  await rm(folder, { recursive: true, force: true })
  await nodeWorld.disk.makeFolder(folder)
  const { windowsMs } = plan
  const store = new StatementSource({
    ...{ tables, folder, windowsMs, disk: nodeWorld.disk },
    rowsMax: config.query.sqlReadingsMax,
    bytesMax: config.query.sqlFilesBytesMax,
  })
  return new StatementDesk({
    ...{ control, alerts, store, folder, windowsMs },
    ...nodeWorld,
    ...sqlOptions(config),
  })
}
