/** Where readings are that have left PostgreSQL. */
import type { Config } from '../config/config.ts'
import type { Objects } from '../objects/objects.ts'
import { createS3Objects } from '../objects/s3-objects.ts'
import { nodeWorld } from '../world/node-world.ts'
import { s3Access } from './accesses.ts'

/** Undefined without a lake. Errors: CONFIG_VALUE_INVALID. */
export const openLakeObjects = (config: Config): Objects | undefined =>
  config.lake.bucket === '' ? undefined : createS3Objects(s3Access(config, nodeWorld.random))
