/**
 * Rules that people edit while the pipeline runs. A rule is durable here first, then in the log,
 * and takes effect where the log has it. What a crash or a full disk leaves between the two is made
 * good at the next start, or a moment later.
 */
import type { RuleChange, RuleName } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import type { Rule, RuleDefinition } from '../pipeline/pipeline.ts'
import type { Clock } from '../world/world.ts'
import type { Kept, RuleBook, RuleText } from './alerts.ts'
import { DefinitionBook, type BookOptions } from './books.ts'
import type { Definition, DefinitionKey } from './definition-store.ts'

/** The way of rules into the log. */
export interface RulePublisher {
  /** Resolves once durable in the log, in this order. Errors: those of the log. */
  publish(changes: readonly RuleChange[]): Promise<void>
}

export interface RuleBookOptions extends BookOptions {
  clock: Clock
  publisher: RulePublisher
  /** Of the pipeline definition, as written. */
  ofDefinition: readonly RuleDefinition[]
  /** Errors: PIPELINE_RULE_INVALID, PIPELINE_DEFINITION_INVALID. */
  compile(definition: RuleDefinition): Rule
  /** A stored rule that this plan cannot run, or the log that takes none. */
  onProblem?(problem: string): void
}

/** What goes into the log at once. */
const PUBLISHED_RULES_MAX = 200
const PUBLISHED_BYTES_MAX = 200_000
const AGAIN_MS = 1000

export type PublishedRuleBook = RuleBook & {
  /**
   * publishAll(), again and again until it succeeds: a log on a full disk takes nothing, and is no
   * reason not to start. What was in the way goes to `onProblem`.
   */
  start(): Promise<void>
  /**
   * Everything there is, for a stream that may know more or less: once at the start, before
   * anybody edits through this process. Errors: those of the log, CONTROL_UNAVAILABLE.
   */
  publishAll(): Promise<void>
  /** Nothing is tried again from then on. */
  close(): void
}

export function openRuleBook(options: RuleBookOptions): PublishedRuleBook {
  return new StoredRuleBook(options)
}

class StoredRuleBook implements PublishedRuleBook {
  readonly ofDefinition: readonly RuleDefinition[]
  readonly #options: RuleBookOptions
  readonly #ids: ReadonlySet<string>
  readonly #book: DefinitionBook<RuleText>
  #cancelAgain: (() => void) | undefined
  /** Set from start() until the log has everything. */
  #isAllPending = false
  #isClosed = false

  constructor(options: RuleBookOptions) {
    this.#options = options
    this.ofDefinition = options.ofDefinition
    this.#ids = new Set(options.ofDefinition.map(({ id }) => id))
    this.#book = new DefinitionBook('rule', options, ({ id, value, revision }) => {
      options.compile({ ...value, id, version: revision })
    })
  }

  list(tenant: string, page: { after?: string; limit: number }): Promise<Kept<RuleText>[]> {
    return this.#book.list(tenant, page)
  }

  find(tenant: string, id: string): Promise<Kept<RuleText> | undefined> {
    return this.#book.find(tenant, id)
  }

  async put(
    tenant: string,
    id: string,
    value: RuleText,
    expected?: number,
  ): Promise<Kept<RuleText>> {
    this.#checkId(id)
    const kept = await this.#book.put(tenant, id, value, expected)
    await this.#publish({ kind: 'rule', tenant, id })
    return kept
  }

  async remove(tenant: string, id: string, expected?: number): Promise<boolean> {
    if (!(await this.#book.remove(tenant, id, expected))) return false
    await this.#publish({ kind: 'rule', tenant, id })
    return true
  }

  start(): Promise<void> {
    this.#isAllPending = true
    return this.#publishPending()
  }

  async publishAll(): Promise<void> {
    const published = new Map<string, number>()
    const names: RuleName[] = []
    for await (const page of this.#pages()) {
      const live = page.filter(({ isRemoved }) => !isRemoved)
      const changes = live.flatMap((one) => this.#changeOf(one) ?? [])
      for (const change of changes) if ('put' in change) names.push(nameOf(change.put))
      await this.#publishInParts(changes)
      await this.#book.store.markPublished(page)
      for (const one of page) published.set(keyOf(one), one.revision)
    }
    await this.#options.publisher.publish([{ retain: names }])
    await this.#publishEdited(published)
    this.#isAllPending = false
  }

  close(): void {
    this.#isClosed = true
    this.#cancelAgain?.()
  }

  #checkId(id: string): void {
    if (!this.#ids.has(id)) return
    throw new WeirError('RULE_OF_DEFINITION', `${id} is a rule of the pipeline definition`)
  }

  /**
   * Of a rule that cannot run, a removal: what ran of it before must not go on. Nothing of an id
   * that the pipeline definition has by now: it is about another rule.
   */
  #changeOf({ id, revision: version, isRemoved, value }: Definition): RuleChange | undefined {
    if (this.#ids.has(id)) return undefined
    if (isRemoved) return { remove: { id, version } }
    try {
      return { put: this.#options.compile({ ...(JSON.parse(value) as RuleText), id, version }) }
    } catch (error) {
      if (!(error instanceof WeirError)) throw error
      this.#options.onProblem?.(`rule ${id} is left out: ${error.message}`)
      return { remove: { id, version } }
    }
  }

  /** What is stored of it now: as new as the caller's, or newer. */
  async #publish(key: DefinitionKey): Promise<void> {
    const definition = await this.#book.store.find(key)
    const change = definition && this.#changeOf(definition)
    if (change === undefined) return
    try {
      await this.#options.publisher.publish([change])
    } catch (error) {
      // Whoever asked hears of it; stored it is, so it goes into the log as soon as that takes it.
      this.#publishSoon()
      throw error
    }
    // Without the mark it is published once more, which changes nothing.
    await this.#book.store.markPublished([definition!]).catch(() => undefined)
  }

  #publishSoon(): void {
    if (this.#isClosed || this.#cancelAgain !== undefined) return
    this.#cancelAgain = this.#options.clock.after(AGAIN_MS, () => {
      this.#cancelAgain = undefined
      void this.#publishPending()
    })
  }

  async #publishPending(): Promise<void> {
    try {
      if (this.#isAllPending) await this.publishAll()
      else await this.#publishUnpublished()
    } catch (error) {
      if (this.#isClosed) return
      this.#options.onProblem?.(`rules wait for the log: ${String(error)}`)
      this.#publishSoon()
    }
  }

  async #publishUnpublished(): Promise<void> {
    for await (const page of this.#pages({ isUnpublished: true })) {
      await this.#publishInParts(page.flatMap((one) => this.#changeOf(one) ?? []))
      await this.#book.store.markPublished(page)
    }
  }

  /**
   * Another process may have edited between the list and its end, which then removed what it had
   * published: a further revision, the same in all else, brings it back.
   */
  async #publishEdited(published: ReadonlyMap<string, number>): Promise<void> {
    for await (const page of this.#pages()) {
      for (const one of page) {
        if (published.get(keyOf(one)) === one.revision) continue
        await this.#book.store.edit(one, async (before) =>
          before === undefined || before.isRemoved
            ? undefined
            : { ...before, revision: before.revision + 1 },
        )
        await this.#publish(one)
      }
    }
  }

  async #publishInParts(changes: readonly RuleChange[]): Promise<void> {
    let part: RuleChange[] = []
    let bytes = 0
    for (const change of changes) {
      const size = JSON.stringify(change).length
      if (part.length > 0 && bytes + size > PUBLISHED_BYTES_MAX) {
        await this.#options.publisher.publish(part)
        ;[part, bytes] = [[], 0]
      }
      part.push(change)
      bytes += size
    }
    if (part.length > 0) await this.#options.publisher.publish(part)
  }

  async *#pages(which: { isUnpublished?: boolean } = {}): AsyncGenerator<Definition[]> {
    let after: Definition | undefined
    do {
      const page = await this.#book.store.page('rule', {
        ...which,
        ...{ after, limit: PUBLISHED_RULES_MAX },
      })
      if (page.length > 0) yield page
      after = page.at(-1)
    } while (after !== undefined)
  }
}

const nameOf = ({ id, version }: RuleName): RuleName => ({ id, version })

const keyOf = ({ tenant, id }: Definition): string => JSON.stringify([tenant, id])
