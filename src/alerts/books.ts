/** Books of definitions that people edit: who is told, and when nobody is. */
import type { ControlDatabase } from '../control/control.ts'
import { WeirError } from '../errors/errors.ts'
import { checkEndpoint, type EndpointRules } from '../notify/notify.ts'
import type { Clock } from '../world/world.ts'
import type { Book, Kept, Recipient, Silence } from './alerts.ts'
import { DefinitionStore, type Definition, type DefinitionKind } from './definition-store.ts'
import { checkRecipient } from './recipient-checks.ts'
import { checkSilence } from './silence-checks.ts'

/** Of a tenant, each. So many are listed and matched without being noticed. */
const DEFINITION_LIMITS = { rule: 10_000, recipient: 1_000, silence: 10_000 } as const

export interface BookOptions {
  database: ControlDatabase
  clock: Clock
  /** Instead of DEFINITION_LIMITS of its kind. */
  countMax?: number
}

/** Throws when the value cannot be kept. `id` is its own. */
export type CheckDefinition<T> = (of: {
  tenant: string
  id: string
  value: T
  /** What it will have. */
  revision: number
}) => void | Promise<void>

export class DefinitionBook<T> implements Book<T> {
  readonly store: DefinitionStore
  readonly #kind: DefinitionKind
  readonly #clock: Clock
  readonly #countMax: number
  readonly #check: CheckDefinition<T>
  /** By tenant: so many more without counting. */
  readonly #room = new Map<string, number>()

  constructor(kind: DefinitionKind, options: BookOptions, check: CheckDefinition<T>) {
    this.store = new DefinitionStore(options.database)
    this.#kind = kind
    this.#clock = options.clock
    this.#countMax = options.countMax ?? DEFINITION_LIMITS[kind]
    this.#check = check
  }

  async list(tenant: string, page: { after?: string; limit: number }): Promise<Kept<T>[]> {
    return (await this.store.list({ kind: this.#kind, tenant }, page)).map(toKept<T>)
  }

  async find(tenant: string, id: string): Promise<Kept<T> | undefined> {
    const found = await this.store.find({ kind: this.#kind, tenant, id })
    return found === undefined || found.isRemoved ? undefined : toKept<T>(found)
  }

  async put(tenant: string, id: string, value: T, expected?: number): Promise<Kept<T>> {
    const key = { kind: this.#kind, tenant, id }
    const written = await this.store.edit(key, async (before) => {
      checkExpected(before, expected)
      const next = { ...this.#next(key, before), value: JSON.stringify(value) }
      await this.#check({ tenant, id, value, revision: next.revision })
      if (before === undefined || before.isRemoved) await this.#checkRoom(tenant)
      return next
    })
    return toKept<T>(written!)
  }

  async remove(tenant: string, id: string, expected?: number): Promise<boolean> {
    const key = { kind: this.#kind, tenant, id }
    const written = await this.store.edit(key, async (before) => {
      checkExpected(before, expected)
      if (before === undefined || before.isRemoved) return undefined
      return { ...this.#next(key, before), isRemoved: true, value: 'null' }
    })
    return written !== undefined
  }

  #next(
    key: { kind: DefinitionKind; tenant: string; id: string },
    before: Definition | undefined,
  ): Omit<Definition, 'value'> {
    return {
      ...key,
      revision: (before?.revision ?? 0) + 1,
      isRemoved: false,
      published: before?.published ?? 0,
      updatedAtUs: this.#clock.nowUs(),
    }
  }

  /**
   * Counting takes a look at each of them, so what was counted lasts for the next hundredth of what
   * there may be; other processes, and those who come at once, may pass the limit by as much.
   */
  async #checkRoom(tenant: string): Promise<void> {
    const left = this.#room.get(tenant) ?? 0
    if (left > 0) return void this.#room.set(tenant, left - 1)
    const free = this.#countMax - (await this.store.count({ kind: this.#kind, tenant }))
    if (free > 0) {
      const share = Math.min(free, Math.ceil(this.#countMax / 100))
      return void this.#room.set(tenant, share - 1)
    }
    const problem = `there are ${this.#countMax} definitions of the kind ${this.#kind}`
    throw new WeirError('CONTROL_DEFINITIONS_EXCEEDED', problem)
  }
}

function toKept<T>({ id, revision, updatedAtUs, value }: Definition): Kept<T> {
  return { id, revision, updatedAtUs, value: JSON.parse(value) as T }
}

/** Throws CONTROL_REVISION_STALE with `details.current`. */
function checkExpected(before: Definition | undefined, expected: number | undefined): void {
  const current = before === undefined || before.isRemoved ? undefined : before
  if (expected === undefined || expected === (current?.revision ?? 0)) return
  const details = { current: current === undefined ? null : toKept(current) }
  const problem =
    current === undefined
      ? 'it does not exist'
      : `it has revision ${current.revision}, ${expected === 0 ? 'and should not exist' : `not ${expected}`}`
  throw new WeirError('CONTROL_REVISION_STALE', problem, { details })
}

/** Addresses are checked as `endpoint` says. Errors of put(): also ALERT_RECIPIENT_INVALID. */
export function openRecipients(
  options: BookOptions & { endpoint: EndpointRules },
): Book<Recipient> {
  const check: CheckDefinition<Recipient> = ({ id, value }) =>
    checkRecipient(value, { id, checkUrl: (url) => checkEndpoint(url, options.endpoint) })
  return new DefinitionBook('recipient', options, check)
}

/** Errors of put(): also ALERT_SILENCE_INVALID. */
export function openSilences(options: BookOptions): Book<Silence> {
  return new DefinitionBook('silence', options, ({ id, value }) => checkSilence(id, value))
}
