/**
 * All processes that write to stores, or ask them, have the same list of them: the installation's,
 * which the first one recorded. A device whose range one process sees elsewhere than another would
 * be written where nobody asks for it.
 */
import { formatRange } from '../config/stores.ts'
import type { Config } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import { currentStores, recordedStores, replaceStores } from '../postgres/store-list.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess, storeAccesses } from './accesses.ts'

/** A process that runs on with the list of before ends within about this. */
const CHECK_INTERVAL_MS = 10_000

/** Ranges as they are compared; without `postgres.stores` it is one of all devices. */
const rangesOf = (config: Config): string =>
  storeAccesses(config)
    .map(({ range }) => formatRange(range))
    .join(', ')

/**
 * Resolves when the list is the installation's, and looks again until the returned function is
 * called: `onCrash` hears of a list that was changed meanwhile. Errors: CONFIG_STORES_DIFFER,
 * CONFIG_VALUE_INVALID, STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER.
 */
export async function guardStores(options: {
  config: Config
  onCrash?: (error: Error) => void
}): Promise<() => void> {
  const { config, onCrash } = options
  const [place, own] = [postgresAccess(config), rangesOf(config)]
  const compare = (recorded: string | undefined): void => {
    if (own === recorded) return
    const detail = `this process has ${own}; the installation has ${recorded ?? 'none'}`
    throw new WeirError('CONFIG_STORES_DIFFER', `postgres.stores: ${detail}`)
  }
  compare(await recordedStores(place, own))
  return nodeWorld.clock.every(CHECK_INTERVAL_MS, () => {
    void currentStores(place)
      .then(compare)
      .catch((error: WeirError) => {
        // A PostgreSQL that is away is the business of those who need it.
        if (error.code === 'CONFIG_STORES_DIFFER') onCrash?.(error)
      })
  })
}

/** Makes this configuration's list the installation's. Errors: as guardStores. */
export async function acceptStores(
  config: Config,
): Promise<{ before: string | undefined; now: string }> {
  const now = rangesOf(config)
  return { before: await replaceStores(postgresAccess(config), now), now }
}
