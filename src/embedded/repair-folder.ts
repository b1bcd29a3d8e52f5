/** `weir storage repair`: makes the catalogue of a data folder again, whose server is stopped. */
import { join, resolve } from 'node:path'
import type { Config } from '../config/config.ts'
import { openFileLog } from '../log/file-log.ts'
import { repairCatalogue, type Repair } from '../storage/repair.ts'
import { nodeWorld } from '../world/node-world.ts'
import { openColdObjects } from './cold-objects.ts'
import { lockFolder } from './folder-lock.ts'
import { openWhole } from './open-whole.ts'

/**
 * Errors: DATA_FOLDER_LOCKED while the server runs, CONFIG_VALUE_INVALID, DATA_FILE_DAMAGED (the
 * log), and those of repairCatalogue().
 */
export async function repairFolder(config: Config): Promise<Repair> {
  const folder = resolve(config.data)
  return openWhole(async (opened) => {
    opened.defer(lockFolder(folder))
    const objects = await openColdObjects(config, folder, nodeWorld)
    opened.defer(() => objects.close())
    const log = await openFileLog({
      ...{ disk: nodeWorld.disk, random: nodeWorld.random, folder: join(folder, 'log') },
      options: { segmentBytes: config.log.segmentBytes },
    })
    const { firstOffset: logFirstOffset } = log
    await log.close()
    const repair = await repairCatalogue({ folder, world: nodeWorld, objects, logFirstOffset })
    await opened.disposeAsync()
    return repair
  })
}
