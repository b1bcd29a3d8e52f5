/** The stream stage of TypeScript on the entries of one partition. */
import { PartitionStream } from './partition-stream.ts'
import type { ReadEntry } from '../../../src/kafka/kafka.ts'
import type { Plan } from '../../../src/pipeline/pipeline.ts'
import { LIMITS } from '../../../src/stream/script.ts'
import type { Topics } from './outcome.ts'

export function embedded(plan: Plan, entries: readonly ReadEntry[]): Topics {
  const limits = { ...LIMITS, textsMax: 1000 }
  const stream = new PartitionStream({ partition: 0, plan, limits })
  const { readings, windows, events, deadLetters } = stream.process(entries)
  const given = (some: typeof readings) =>
    some.map(({ key, value, source }) => ({ key, value, source }))
  return {
    ...{ readings: given(readings), windows: given(windows) },
    ...{ events: given(events), deadLetters: given(deadLetters) },
  }
}
