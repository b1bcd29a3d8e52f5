/**
 * The naive oracle's part of silence: when a device was last heard, and since when each rule looks
 * for its silence, which is found at no time before.
 */
import type { Rule } from '../pipeline/pipeline.ts'
import { isWithin, nextChangeUs } from '../schedule/schedule.ts'

export interface Live {
  rule: Rule
  order: number
  /** The number of lists of definitions that there were when it came. */
  since: number
}

/** A rule that looks at a device. */
export interface Pair {
  live: Live
  device: number
}

const keyOf = ({ live, device }: Pair): string => `${live.order} ${device}`

export class SilenceOracle {
  readonly #heard = new Map<number, { ingestUs: number; sequence: number }>()
  readonly #lookedForUs = new Map<string, number>()
  /** What was found of schedules, since the wall's clock is slow to read. */
  readonly #openedUs = new Map<string, number>()

  /** These are all that look, from now on; who was not among them begins now. */
  watch(pairs: readonly Pair[], nowUs: number): void {
    // When a device spoke is only known while some rule waits for it.
    for (const device of this.#heard.keys())
      if (!pairs.some((pair) => pair.device === device)) this.#heard.delete(device)
    const before = new Map(this.#lookedForUs)
    this.#lookedForUs.clear()
    for (const key of pairs.map(keyOf)) this.#lookedForUs.set(key, before.get(key) ?? nowUs)
  }

  hear(device: number, ingestUs: number, sequence: number): void {
    const beforeUs = this.#heard.get(device)?.ingestUs ?? -Infinity
    this.#heard.set(device, { ingestUs: Math.max(beforeUs, ingestUs), sequence })
  }

  /** The rule's schedule closed: it looks anew. */
  close(pair: Pair, atUs: number): void {
    this.#lookedForUs.set(keyOf(pair), atUs)
  }

  /** When the device will have been silent for long enough; Infinity: the rule never heard it. */
  dueUs(pair: Pair): number {
    const heard = this.#heard.get(pair.device)
    if (heard === undefined || heard.sequence < pair.live.since) return Infinity
    const { rule } = pair.live
    return this.#openUs(
      rule,
      Math.max(heard.ingestUs + rule.silentUs, this.#lookedForUs.get(keyOf(pair))!),
    )
  }

  /** From then on, the first moment at which the rule's schedule is open. */
  #openUs({ id, schedule }: Rule, fromUs: number): number {
    if (schedule === undefined) return fromUs
    const key = `${id} ${fromUs}`
    let us = this.#openedUs.get(key) ?? fromUs
    while (!isWithin(schedule, us)) us = nextChangeUs(schedule, us)
    this.#openedUs.set(key, us)
    return us
  }

  /** Nothing is moved beyond now, and nothing is found before. */
  shift(stepUs: number, nowUs: number): void {
    for (const heard of this.#heard.values())
      heard.ingestUs = Math.min(heard.ingestUs + stepUs, nowUs)
    for (const key of this.#lookedForUs.keys()) this.#lookedForUs.set(key, nowUs)
  }
}
