/** Looks at a running Weir every second: memory, handles, lag. */
import { openHandles, residentBytes } from './process-figures.ts'
import type { WeirServer } from './weir-server.ts'

export interface Sample {
  seconds: number
  residentBytes: number
  handles: number
  /** Readings durable and not yet in storage. */
  lagReadings: number
  /** Small segments that wait to be merged. */
  mergeDebt: number
  /** Connections not read from. */
  held: number
}

const INTERVAL_MS = 1000

export class Sampler {
  readonly #server: WeirServer
  readonly #samples: Sample[] = []
  readonly #startMs = performance.now()
  readonly #timer: NodeJS.Timeout
  #problem: unknown

  constructor(server: WeirServer) {
    this.#server = server
    this.#timer = setInterval(() => {
      this.#sample().catch((error: unknown) => (this.#problem = error))
    }, INTERVAL_MS)
  }

  async #sample(): Promise<void> {
    const { pid } = this.#server
    const metrics = await this.#server.metrics()
    const value = (name: string): number => metrics.get(name) ?? NaN
    this.#samples.push({
      seconds: (performance.now() - this.#startMs) / 1000,
      residentBytes: residentBytes(pid) ?? value('process_resident_memory_bytes'),
      handles: openHandles(pid) ?? NaN,
      lagReadings: value('weir_gateway_readings_total') - value('weir_storage_readings_total'),
      mergeDebt: value('weir_storage_merge_debt_segments'),
      held: value('weir_gateway_held_connections'),
    })
  }

  stop(): Sample[] {
    clearInterval(this.#timer)
    if (this.#problem !== undefined) throw this.#problem as Error
    return this.#samples
  }
}
