/**
 * The rules that are in force: the plan's, and those that changes in the log brought. A change
 * whose version is not above the one known of its id changes nothing, also where the rule is gone;
 * ids of the plan's rules are the plan's.
 */
import type { RuleChange, RuleName } from '../batch/batch.ts'
import type { Program, Rule } from '../pipeline/pipeline.ts'
import { comparisonCode, NO_COMPARISON } from './comparisons.ts'
import { Opening } from './opening.ts'
import type { Texts } from './rule-texts.ts'
import { metricKeysOf } from './watched-devices.ts'

/** Changes' rules come behind the plan's, which has fewer than this. */
const ORDER_OF_CHANGES = 1_000_000

export interface LiveRule {
  readonly rule: Rule
  /** Its place in the book, which another gets when it is gone. */
  readonly index: number
  /** Never another's: what falls together comes in this order. */
  readonly order: number
  /** Of the engine's sequence: what was heard before is not known to it. */
  since: number
  readonly isOfPlan: boolean
  /** One comparison of one metric's latest value, and so is what clears it: the next four. */
  readonly isDirect: boolean
  readonly comparison: number
  readonly threshold: number
  /** NO_COMPARISON: it ends when the condition does. */
  readonly clearComparison: number
  readonly clearThreshold: number
  /** All that it asks of readings is of one metric. */
  readonly isOfOneMetric: boolean
  readonly metricKeys: ReadonlySet<string>
  readonly opening: Opening
  readonly values: Float64Array
  readonly textOf: (index: number) => number
  readonly clearTextOf: (index: number) => number
  /** The message that it was last touched by. */
  touchedBy: number
}

export interface SavedBook {
  nextOrder: number
  plan: { id: string; version: number; since: number }[]
  changed: { rule: Rule; order: number; since: number }[]
  /** Every id that a change was known of, also of removed rules. */
  known: RuleName[]
}

/** Who is told of each change as it is made. */
export interface Changing {
  added: (live: LiveRule) => void
  /** Before its index may be another's. */
  removed: (live: LiveRule) => void
}

export class RuleBook {
  /** By index; undefined where a rule went. */
  readonly live: (LiveRule | undefined)[] = []
  /** Something is to be saved. */
  isChanged = true
  readonly #texts: Texts
  readonly #free: number[] = []
  readonly #ofPlan = new Map<string, LiveRule>()
  readonly #byId = new Map<string, LiveRule>()
  readonly #known = new Map<string, number>()
  #nextOrder = ORDER_OF_CHANGES

  constructor(texts: Texts) {
    this.#texts = texts
  }

  /** They know all that is heard, unless restore() says otherwise. */
  addPlan(rules: readonly Rule[]): LiveRule[] {
    return rules.map((rule, order) => {
      const live = this.#add(rule, { order, since: 0, isOfPlan: true })
      this.#ofPlan.set(rule.id, live)
      return live
    })
  }

  apply(changes: readonly RuleChange[], since: number, tell: Changing): void {
    for (const change of changes) {
      if ('put' in change) this.#put(change.put as Rule, since, tell)
      else if ('remove' in change) this.#remove(change.remove, tell)
      else this.#retain(change.retain, tell)
    }
  }

  save(): SavedBook {
    const live = this.live.filter((one) => one !== undefined)
    return {
      nextOrder: this.#nextOrder,
      plan: live
        .filter(({ isOfPlan }) => isOfPlan)
        .map(({ rule, since }) => ({ id: rule.id, version: rule.version, since })),
      changed: live
        .filter(({ isOfPlan }) => !isOfPlan)
        .map(({ rule, order, since }) => ({ rule, order, since })),
      known: [...this.#known].map(([id, version]) => ({ id, version })),
    }
  }

  /**
   * Takes over the rules that changes brought, and since when those of the plan, which must be
   * there, have been; those that are new came at `sequence`.
   */
  restore(saved: SavedBook | undefined, sequence: number): LiveRule[] {
    if (saved === undefined) return []
    const since = new Map(saved.plan.map((one) => [`${one.id} ${one.version}`, one.since]))
    for (const live of this.#ofPlan.values())
      live.since = since.get(`${live.rule.id} ${live.rule.version}`) ?? sequence
    this.#nextOrder = saved.nextOrder
    for (const { id, version } of saved.known) this.#known.set(id, version)
    return saved.changed
      .filter(({ rule }) => !this.#ofPlan.has(rule.id))
      .map(({ rule, order, since }) => {
        const live = this.#add(rule, { order, since, isOfPlan: false })
        this.#byId.set(rule.id, live)
        return live
      })
  }

  #put(rule: Rule, since: number, tell: Changing): void {
    if (!this.#isNews(rule)) return
    this.#drop(rule.id, tell)
    const live = this.#add(rule, { order: this.#nextOrder++, since, isOfPlan: false })
    this.#byId.set(rule.id, live)
    tell.added(live)
  }

  #remove(name: RuleName, tell: Changing): void {
    if (this.#isNews(name)) this.#drop(name.id, tell)
  }

  #retain(names: readonly RuleName[], tell: Changing): void {
    const ids = new Set(names.map(({ id }) => id))
    const gone = [...this.#byId.values()].filter(({ rule }) => !ids.has(rule.id))
    for (const { rule } of gone.sort((a, b) => a.order - b.order)) this.#drop(rule.id, tell)
  }

  #isNews({ id, version }: RuleName): boolean {
    if (this.#ofPlan.has(id) || version <= (this.#known.get(id) ?? 0)) return false
    this.#known.set(id, version)
    this.isChanged = true
    return true
  }

  #drop(id: string, tell: Changing): void {
    const live = this.#byId.get(id)
    if (live === undefined) return
    tell.removed(live)
    this.#byId.delete(id)
    this.live[live.index] = undefined
    this.#free.push(live.index)
    this.isChanged = true
  }

  #add(rule: Rule, as: Pick<LiveRule, 'order' | 'since' | 'isOfPlan'>): LiveRule {
    const index = this.#free.pop() ?? this.live.length
    const metricKeys = metricKeysOf(rule)
    const live = {
      ...{ rule, index, ...as, touchedBy: -1 },
      ...{ metricKeys, isOfOneMetric: metricKeys.size === 1 },
      ...directOf(rule),
      opening: new Opening(rule.schedule),
      values: new Float64Array(rule.variables.length),
      textOf: this.#textsOf(rule.program),
      clearTextOf: this.#textsOf(rule.clear),
    }
    this.live[index] = live
    this.isChanged = true
    return live
  }

  #textsOf(program: Program | undefined): (index: number) => number {
    const texts = program?.texts ?? []
    return (index) => this.#texts.numberOf(texts[index]!)
  }
}

function directOf(rule: Rule) {
  const { on, variables, program, clear } = rule
  const isOne = on === 'readings' && variables.length === 1 && variables[0]!.of === 'latest'
  const isClear = clear === undefined || clear.threshold !== undefined
  const { threshold } = program
  const isDirect = isOne && threshold !== undefined && isClear
  return {
    isDirect,
    comparison: threshold ? comparisonCode(threshold.comparison) : NO_COMPARISON,
    threshold: threshold?.value ?? NaN,
    clearComparison: clear?.threshold ? comparisonCode(clear.threshold.comparison) : NO_COMPARISON,
    clearThreshold: clear?.threshold?.value ?? NaN,
  }
}
