/** Samples a running Weir every second and says whether what should stay flat did. */
import { median } from './report.ts'
import type { WeirServer } from './weir-server.ts'

interface Sample {
  seconds: number
  /** Readings durable and not yet in storage. */
  lagReadings: number
  mergeDebt: number
  residentBytes: number
}

export interface Steadiness {
  samples: number
  lagReadingsMax: number
  /** Medians of the first and the last third of the run. */
  lagReadings: [number, number]
  mergeDebt: [number, number]
  /** The lag in the last third is within `lagReadingsAllowed` of that in the first. */
  isFlat: boolean
}

export class SteadinessProbe {
  readonly #server: WeirServer
  readonly #samples: Sample[] = []
  readonly #startMs = performance.now()
  readonly #timer: NodeJS.Timeout
  #problem: unknown

  constructor(server: WeirServer) {
    this.#server = server
    this.#timer = setInterval(() => {
      this.#sample().catch((error: unknown) => (this.#problem = error))
    }, 1000)
  }

  async #sample(): Promise<void> {
    const metrics = await this.#server.metrics()
    const value = (name: string): number => metrics.get(name) ?? NaN
    this.#samples.push({
      seconds: (performance.now() - this.#startMs) / 1000,
      lagReadings: value('weir_gateway_readings_total') - value('weir_storage_readings_total'),
      mergeDebt: value('weir_storage_merge_debt_segments'),
      residentBytes: value('process_resident_memory_bytes'),
    })
  }

  /** `readingsPerSecond`: a lag that grew by less than a second's worth is flat. */
  stop(readingsPerSecond: number): Steadiness {
    clearInterval(this.#timer)
    if (this.#problem !== undefined) throw this.#problem as Error
    const third = Math.max(1, Math.floor(this.#samples.length / 3))
    const ends = (pick: (sample: Sample) => number): [number, number] => [
      median(this.#samples.slice(0, third).map(pick)),
      median(this.#samples.slice(-third).map(pick)),
    ]
    const lagReadings = ends((sample) => sample.lagReadings)
    const mergeDebt = ends((sample) => sample.mergeDebt)
    return {
      samples: this.#samples.length,
      lagReadingsMax: Math.max(...this.#samples.map((sample) => sample.lagReadings)),
      lagReadings,
      mergeDebt,
      // Merges come in steps: up to a merge's fan-in of small segments waits at any time.
      isFlat:
        lagReadings[1] - lagReadings[0] < readingsPerSecond && mergeDebt[1] - mergeDebt[0] <= 8,
    }
  }
}
