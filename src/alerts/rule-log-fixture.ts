/** A log of rules in memory, and the rules that a stream knows from it, as batch.ts says. */
import type { RuleChange, RuleName } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import type { RulePublisher } from './rule-book.ts'

export class MemoryRuleLog implements RulePublisher {
  /** What came in one call each. */
  readonly parts: RuleChange[][] = []
  isFull = false
  /** Called before the change is durable. */
  beforeAppend: (change: RuleChange) => Promise<void> = async () => undefined
  /** The newest version of an id, removed or not. */
  readonly #known = new Map<string, { rule: RuleName; isRemoved: boolean }>()

  async publish(changes: readonly RuleChange[]): Promise<void> {
    for (const change of changes) await this.beforeAppend(change)
    if (this.isFull) throw new WeirError('LOG_DISK_FULL')
    // A log holds bytes.
    const part = JSON.parse(JSON.stringify(changes)) as RuleChange[]
    this.parts.push(part)
    for (const change of part) this.#take(change)
  }

  /** `hot@2`, in the order of ids. */
  get running(): string[] {
    return [...this.#known.values()]
      .filter(({ isRemoved }) => !isRemoved)
      .map(({ rule }) => `${rule.id}@${rule.version}`)
      .sort()
  }

  #take(change: RuleChange): void {
    if ('retain' in change) {
      const kept = new Set(change.retain.map(({ id }) => id))
      for (const [id, known] of this.#known) if (!kept.has(id)) known.isRemoved = true
      return
    }
    const rule = 'put' in change ? change.put : change.remove
    if ((this.#known.get(rule.id)?.rule.version ?? 0) >= rule.version) return
    this.#known.set(rule.id, { rule, isRemoved: 'remove' in change })
  }
}
