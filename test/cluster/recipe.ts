/** What the harness must know of a service. */
import type { Started } from './process.ts'

/** How clients reach a service. */
export type Access = Record<string, string>

export interface Places {
  /** Downloaded once, kept: outside of the checkout. */
  cache: string
  /** Data and logs of this start; removed by `down`. */
  data: string
}

export interface Recipe {
  name: string
  /** Not started unless it is named: it takes more than 5 s to start, or 200 MB to download. */
  isOnlyByName?: boolean
  /** Why it cannot be had on this machine, or undefined. */
  missing(): string | undefined
  /** Downloads and builds what is not in the cache yet. Says what takes long. */
  install(cache: string, say: (line: string) => void): void
  /**
   * Launches it, and says how it is reached: addresses, a user, a password. Each process is told
   * the moment it runs, so that it can be stopped whatever comes.
   */
  start(
    places: Places,
    options: {
      brokers: number
      launched: (started: Started) => void
      /** Of services that run already. */
      accessOf: (name: string) => Access | undefined
    },
  ): Promise<Access>
  /** Whether all of it answers by now. */
  answers(access: Access): Promise<boolean>
}
