/** The control store on PostgreSQL: any number of processes share it. */
import type { PostgresPlace } from '../postgres-client/postgres-client.ts'
import type { World } from '../world/world.ts'
import type { Control, ControlDatabase, SignIns } from './control.ts'
import { ControlStore } from './control-store.ts'
import { openPostgresDatabase } from './postgres-database.ts'
import { PostgresSignIns } from './postgres-sign-ins.ts'

export interface PostgresControl extends Control {
  /** For what else is kept beside the registry. Ends with it. */
  readonly database: ControlDatabase
  readonly signIns: SignIns
}

/**
 * Connects, and makes or updates the tables. Errors: CONTROL_UNAVAILABLE, DATA_FORMAT_NEWER.
 */
export async function openPostgresControl({
  access,
  world,
}: {
  access: PostgresPlace
  world: Pick<World, 'clock' | 'random'>
}): Promise<PostgresControl> {
  const database = await openPostgresDatabase(access)
  const signIns = new PostgresSignIns(database.pool, world.random)
  return Object.assign(new ControlStore(database, world), { database, signIns })
}
