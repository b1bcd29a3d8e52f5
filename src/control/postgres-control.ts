/** The control store on PostgreSQL: any number of processes share it. */
import type { PostgresPlace } from '../postgres-client/postgres-client.ts'
import type { World } from '../world/world.ts'
import type { Control } from './control.ts'
import { ControlStore } from './control-store.ts'
import { openPostgresDatabase } from './postgres-database.ts'

/**
 * Connects, and makes or updates the tables. Errors: CONTROL_UNAVAILABLE, DATA_FORMAT_NEWER.
 */
export async function openPostgresControl({
  access,
  world,
}: {
  access: PostgresPlace
  world: Pick<World, 'clock' | 'random'>
}): Promise<Control> {
  return new ControlStore(await openPostgresDatabase(access), world)
}
