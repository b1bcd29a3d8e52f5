/** Counts what one rule says, device by device: nothing is kept that grows with the episodes. */
import type { Rule } from '../pipeline/pipeline.ts'
import type { Span } from '../query/query.ts'
import type { RuleEvent } from '../stream/stream.ts'
import type { BudgetReport, RuleReport } from './backtest.ts'
import { foldEpisodes } from './folding.ts'

const DAY_US = 86_400_000_000
/** Of the noisiest devices, and of the longest episodes. */
const LISTED = 10
/** More are cut to these, now and then. */
const LISTED_UNTIL_CUT = 1000
/** Stretches of a budget: 30 days of minutes are 43,200. */
const STRETCHES_MAX = 1_000_000

type Device = RuleReport['noisiest'][number]
type Episode = RuleReport['longest'][number]

export class RuleTally {
  readonly #rule: Rule
  readonly #span: Span
  readonly #days: RuleReport['days']
  readonly #stretches: Uint32Array
  readonly #totals = { episodes: 0, alerts: 0, flapping: 0, devices: 0, firingUs: 0 }
  #noisiest: Device[] = []
  #longest: Episode[] = []

  constructor(rule: Rule, span: Span) {
    this.#rule = rule
    this.#span = span
    this.#days = daysOf(span)
    const perUs = rule.budget?.perUs ?? Infinity
    const stretches = Math.ceil((span.endUs - span.startUs) / perUs)
    this.#stretches = new Uint32Array(Math.min(stretches, STRETCHES_MAX))
  }

  /** This rule's events of one device, in their order. */
  add(events: readonly RuleEvent[]): void {
    if (events.length === 0) return
    const folded = foldEpisodes(events)
    const totals = this.#totals
    totals.episodes += folded.episodes.length
    totals.alerts += folded.alertsUs.length
    totals.flapping += folded.flapping
    totals.devices++
    for (const { triggeredAtUs, resolvedAtUs } of folded.episodes) {
      totals.firingUs += (resolvedAtUs ?? this.#span.endUs) - triggeredAtUs
      const day = this.#dayOf(triggeredAtUs)
      if (day !== undefined) day.episodes++
    }
    for (const atUs of folded.alertsUs) {
      const day = this.#dayOf(atUs)
      if (day !== undefined) day.alerts++
      this.#countStretch(atUs)
    }
    const { deviceId } = events[0]!
    const counts = { episodes: folded.episodes.length, alerts: folded.alertsUs.length }
    this.#noisiest = listed([...this.#noisiest, { deviceId, ...counts }], byNoise)
    const episodes = folded.episodes.map((one) => ({ deviceId, ...one }))
    this.#longest = listed([...this.#longest, ...episodes], this.#byLength)
  }

  report(): RuleReport {
    const { id: ruleId, severity } = this.#rule
    return {
      ...{ ruleId, severity, ...this.#totals, days: this.#days },
      noisiest: this.#noisiest.toSorted(byNoise).slice(0, LISTED),
      longest: this.#longest.toSorted(this.#byLength).slice(0, LISTED),
      budget: this.#budget(),
    }
  }

  #dayOf(atUs: number): RuleReport['days'][number] | undefined {
    return this.#days[Math.floor(atUs / DAY_US) - Math.floor(this.#span.startUs / DAY_US)]
  }

  #countStretch(atUs: number): void {
    const perUs = this.#rule.budget?.perUs ?? Infinity
    const back = Math.floor((this.#span.endUs - 1 - atUs) / perUs)
    const place = Math.max(0, Math.min(back, this.#stretches.length - 1))
    this.#stretches[place]!++
  }

  #budget(): BudgetReport | undefined {
    const { budget } = this.#rule
    if (budget === undefined) return undefined
    let worst = 0
    for (const [place, alerts] of this.#stretches.entries()) {
      if (alerts > this.#stretches[worst]!) worst = place
    }
    const most = this.#stretches[worst] ?? 0
    const mostFromUs = Math.max(this.#span.startUs, this.#span.endUs - (worst + 1) * budget.perUs)
    return { ...budget, most, mostFromUs, isKept: most <= budget.alerts }
  }

  /** What still fires counts to the end. */
  readonly #byLength = (one: Episode, other: Episode): number =>
    this.#lengthOf(other) - this.#lengthOf(one) || one.triggeredAtUs - other.triggeredAtUs

  #lengthOf({ triggeredAtUs, resolvedAtUs }: Episode): number {
    return (resolvedAtUs ?? this.#span.endUs) - triggeredAtUs
  }
}

const byNoise = (one: Device, other: Device): number =>
  other.alerts - one.alerts ||
  other.episodes - one.episodes ||
  (one.deviceId < other.deviceId ? -1 : 1)

const listed = <T>(items: T[], order: (one: T, other: T) => number): T[] =>
  items.length > LISTED_UNTIL_CUT ? items.toSorted(order).slice(0, LISTED) : items

function daysOf({ startUs, endUs }: Span): RuleReport['days'] {
  const first = Math.floor(startUs / DAY_US)
  const last = Math.floor((endUs - 1) / DAY_US)
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, day) => ({
    ...{ startUs: (first + day) * DAY_US, episodes: 0, alerts: 0 },
  }))
}
