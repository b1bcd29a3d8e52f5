/** Samples a running Weir every second and says whether what should stay flat did. */
import { median } from './report.ts'
import { Sampler, type Sample } from './sampler.ts'
import type { WeirServer } from './weir-server.ts'

export interface Steadiness {
  samples: number
  lagReadingsMax: number
  /** Medians of the first and the last third of the run. */
  lagReadings: [number, number]
  mergeDebt: [number, number]
  /** The lag in the last third is within a second's readings of that in the first. */
  isFlat: boolean
}

export class SteadinessProbe {
  readonly #sampler: Sampler

  constructor(server: WeirServer) {
    this.#sampler = new Sampler(server)
  }

  /** `readingsPerSecond`: a lag that grew by less than a second's worth is flat. */
  stop(readingsPerSecond: number): Steadiness {
    const samples = this.#sampler.stop()
    const third = Math.max(1, Math.floor(samples.length / 3))
    const ends = (pick: (sample: Sample) => number): [number, number] => [
      median(samples.slice(0, third).map(pick)),
      median(samples.slice(-third).map(pick)),
    ]
    const lagReadings = ends((sample) => sample.lagReadings)
    const mergeDebt = ends((sample) => sample.mergeDebt)
    return {
      samples: samples.length,
      lagReadingsMax: Math.max(...samples.map((sample) => sample.lagReadings)),
      lagReadings,
      mergeDebt,
      // Merges come in steps: up to a merge's fan-in of small segments waits at any time.
      isFlat:
        lagReadings[1] - lagReadings[0] < readingsPerSecond && mergeDebt[1] - mergeDebt[0] <= 8,
    }
  }
}
