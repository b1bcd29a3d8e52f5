/** What answers people: queries from PostgreSQL, with a cache before them. */
import type { ExportDesk } from '../api/api.ts'
import type { Backtests } from '../backtest/backtest.ts'
import { CachedQuery, type Cache } from '../cache/cache.ts'
import { MemoryCache } from '../cache/memory-cache.ts'
import { openRedisCache } from '../cache/redis-cache.ts'
import type { Config } from '../config/config.ts'
import { ThreadBacktests } from '../embedded/backtests.ts'
import { serveScan } from '../embedded/scan-port.ts'
import { hashDevice } from '../entries/entries.ts'
import type { MetricSample } from '../observe/observe.ts'
import type { Objects } from '../objects/objects.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { openPostgresQuery, type PostgresQuery } from '../postgres/query.ts'
import { openErasureList, type ErasureList } from '../postgres/erasure-list.ts'
import { confirmExported } from '../postgres/store-list.ts'
import { openStoresQuery } from '../postgres/stores-query.ts'
import type { Query } from '../query/query.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess, storeAccesses } from './accesses.ts'
import type { Shared } from './cluster.ts'
import { openLakeObjects } from './lake-objects.ts'
import { metric } from './metrics.ts'
import { openLakeEngine, type CountedEngine } from './open-lake-engine.ts'

/** Where there is no Redis. */
const CACHE_BYTES_MAX = 64 << 20
/** Windows in one answer. */
const WINDOWS_MAX = 100_000

export class ControlRole {
  readonly query: Query
  readonly backtests: Backtests
  readonly exports: ExportDesk
  readonly erasures: ErasureList
  /** What statements of SQL are answered from. */
  readonly statements: PostgresQuery
  readonly #tables: PostgresQuery
  readonly #cache: Cache
  readonly #objects: Objects | undefined
  readonly #engine: CountedEngine | undefined

  constructor({ config, plan, events }: Shared) {
    this.#objects = openLakeObjects(config)
    this.#engine = openLakeEngine(config, events)
    this.#tables = openTables({ config, plan, objects: this.#objects, engine: this.#engine?.use })
    // Statements do not take the connections of questions.
    this.statements = openTables({ config, plan, objects: this.#objects })
    this.#cache = openCache(config)
    this.erasures = openErasureList(postgresAccess(config))
    const { clock } = nodeWorld
    const { allowedLatenessUs } = plan.time
    this.query = new CachedQuery({
      query: this.#tables,
      cache: this.#cache,
      clock,
      allowedLatenessUs,
      version: (tenant) => this.erasures.version(tenant),
    })
    this.exports = {
      async confirmExported(beforeUs) {
        const all = storeAccesses(config).map(({ place }) => confirmExported(place, beforeUs))
        await Promise.all(all)
      },
    }
    this.backtests = new ThreadBacktests(plan, (question, port) =>
      serveScan(port, this.#tables.scan(question)),
    )
  }

  metrics(): MetricSample[] {
    const { hits, misses, faults } = this.#cache.counts()
    return [
      metric('weir_cache_hits_total', 'Answers that came from the cache.', hits),
      metric('weir_cache_misses_total', 'Answers that did not.', misses),
      metric('weir_cache_faults_total', 'Calls of the cache that failed.', faults),
      ...(this.#engine?.metrics() ?? []),
    ]
  }

  async close(): Promise<void> {
    await this.#tables.close()
    await this.statements.close()
    await this.#cache.close()
    await this.erasures.close()
    this.#objects?.close()
    this.#engine?.close()
  }
}

function openTables({
  config,
  plan,
  objects,
  engine,
}: {
  config: Config
  plan: Plan
  objects: Objects | undefined
  engine?: CountedEngine['use'] | undefined
}): PostgresQuery {
  const stores = storeAccesses(config).map(({ range, place }) => ({
    range,
    query: openPostgresQuery({
      access: place,
      limits: { rowsMax: config.query.rowsMax, windowsMax: WINDOWS_MAX },
      hashDevice,
      windowsMs: plan.windowsMs,
      ...{ objects, engine },
    }),
  }))
  return stores.length === 1 ? stores[0]!.query : openStoresQuery({ stores, hashDevice })
}

function openCache({ redis, kafka }: Config): Cache {
  if (redis.url === '')
    return new MemoryCache({ clock: nodeWorld.clock, bytesMax: CACHE_BYTES_MAX })
  const access = { url: redis.url, prefix: kafka.topicPrefix }
  return openRedisCache({ access, world: nodeWorld })
}
