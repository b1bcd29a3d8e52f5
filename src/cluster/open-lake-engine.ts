/** The engine over the lake as this process is to use it, and what it counts. */
import type { Config } from '../config/config.ts'
import { openAthena } from '../lake-engine/athena.ts'
import type { EngineWorld, LakeEngine } from '../lake-engine/lake-engine.ts'
import { openTrino } from '../lake-engine/trino.ts'
import type { Events, MetricSample } from '../observe/observe.ts'
import type { EngineUse } from '../postgres/query.ts'
import { nodeWorld } from '../world/node-world.ts'
import { engineAccess, type EngineAccess } from './accesses.ts'
import { metric } from './metrics.ts'

export interface CountedEngine {
  use: EngineUse
  metrics(): MetricSample[]
  close(): void
}

/** Undefined: there is none. It connects with the first question. Errors: CONFIG_VALUE_INVALID. */
export function openLakeEngine(config: Config, events?: Events): CountedEngine | undefined {
  const at = engineAccess(config)
  if (at === undefined) return undefined
  const engine = open(at, nodeWorld)
  const { timeoutUs, rowsMax, bytesMax, readingsMin } = config.engine
  const counts = { answered: 0, failed: 0 }
  const { table, location } = at
  const use: EngineUse = {
    ...{ engine, table, location, readingsMin, clock: nodeWorld.clock },
    limits: { timeoutMs: timeoutUs / 1000, rowsMax, bytesMax },
    done(failure) {
      if (failure === undefined) return void counts.answered++
      counts.failed++
      const { code, message: problem } = failure
      events?.engineFailed({ kind: engine.kind, code, problem })
    },
  }
  return {
    use,
    metrics: () => [
      metric(
        'weir_engine_questions_total',
        'Questions asked of the engine over the lake.',
        counts.answered,
        { result: 'answered' },
      ),
      metric(
        'weir_engine_questions_total',
        'Questions asked of the engine over the lake.',
        counts.failed,
        { result: 'failed' },
      ),
    ],
    close: () => engine.close(),
  }
}

const open = (at: EngineAccess, world: EngineWorld): LakeEngine =>
  at.kind === 'trino' ? openTrino(at.access, world) : openAthena(at.access, world)
