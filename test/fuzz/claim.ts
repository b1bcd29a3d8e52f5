/** What the fuzz targets are made of: properties with a name, run with a seed that replays them. */
import fc from 'fast-check'

export interface Claim {
  /** What must hold, as a sentence. */
  what: string
  /** Runs in CI; the long way multiplies them by its rounds. */
  runs: number
  property: fc.IRawProperty<unknown>
}

export interface FuzzTarget {
  name: string
  claims: Claim[]
  /** Called once, after the last claim. */
  close?: () => Promise<void>
}

export const claim = <T>(what: string, runs: number, property: fc.IRawProperty<T>): Claim => ({
  what,
  runs,
  property,
})

/** Undefined when it holds; else what broke it, smallest first. */
export async function broken({ property, runs }: Claim, seed: number): Promise<string | undefined> {
  const details = await fc.check(property as fc.IAsyncProperty<[unknown]>, { seed, numRuns: runs })
  if (!details.failed) return undefined
  const { errorInstance } = details
  const error = errorInstance instanceof Error ? errorInstance.stack : String(errorInstance)
  return `${fc.defaultReportMessage(details)}\n\n${error}`
}

/** What replays a failure. */
export const replayCommand = (target: string, seed: number): string =>
  `npm run fuzz -- --decoder ${target} --seed ${seed}`
