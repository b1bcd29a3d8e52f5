/** Which rules look at which series: what changes when rules, series or facts of devices do. */
import type { Episodes } from './episodes.ts'
import type { Guards } from './guards.ts'
import type { LiveRule } from './rule-book.ts'
import type { RuleCells } from './rule-cells.ts'
import type { RuleSets } from './rule-sets.ts'
import type { Silence } from './silence.ts'
import type { WatchedDevices } from './watched-devices.ts'

interface Parts {
  devices: WatchedDevices
  cells: RuleCells
  episodes: Episodes
  silence: Silence
  guards: Guards
  sets: RuleSets
}

export class RuleBinding {
  readonly #parts: Parts
  readonly #dirty = new Set<number>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Something of the device changed. */
  mark(device: number): void {
    this.#dirty.add(device)
  }

  /** Gives those devices their rules, in the order of their numbers. */
  rebind(nowUs: number): void {
    for (const device of [...this.#dirty].sort((a, b) => a - b)) this.#rebind(device, nowUs)
    this.#dirty.clear()
  }

  /** What the registry says of the device, for rules that ask for it. */
  describe(device: number): void {
    const { cells, devices } = this.#parts
    const name = devices.name(device)
    if (name !== undefined) cells.describe(device, name, devices.facts.get(device))
  }

  #rebind(device: number, nowUs: number): void {
    const { devices, cells, silence, guards, sets } = this.#parts
    if (devices.name(device) === undefined) return
    const rules = devices.rulesOf(device)
    this.#endOthers(device, rules.all, nowUs)
    const layout = cells.layoutFor(rules.interpreted)
    cells.assign(device, layout)
    this.describe(device)
    const own = [...devices.seriesOf(device)]
    for (const series of own) {
      const key = devices.keyOf(series)
      const isShared =
        own.length > rules.byKey.size &&
        own.some((other) => other !== series && devices.keyOf(other).name === key.name)
      const number = sets.acquire(rules.byKey.get(key) ?? [], { key, layout, isShared })
      const was = guards.sets[series]!
      if (number !== was) guards.bind(series, number, sets.flagsOf(number))
      sets.release(was)
    }
    silence.watch(device, rules.silences, nowUs)
  }

  /** Rules that no longer concern the device say nothing of it. */
  #endOthers(device: number, rules: readonly LiveRule[], nowUs: number): void {
    const { episodes } = this.#parts
    if (episodes.first[device] === 0) return
    const others = [...episodes.of(device)].filter(
      (record) => !rules.includes(episodes.ruleOf(record)),
    )
    const orderOf = (record: number): number => episodes.ruleOf(record).order
    for (const record of others.sort((a, b) => orderOf(a) - orderOf(b))) episodes.end(record, nowUs)
  }
}
