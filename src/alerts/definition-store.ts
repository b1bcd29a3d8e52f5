/**
 * Definitions in the control database. A removal is a row, too: the next definition of its id has a
 * revision above it, so that what is known of the id elsewhere (the stream's rules, somebody's
 * ETag) is never taken for the new one. Of what was removed only that is kept, not what it said.
 */
import type { Change, ControlDatabase, SqlRow } from '../control/control.ts'
import { WeirError } from '../errors/errors.ts'

export type DefinitionKind = 'rule' | 'recipient' | 'silence'

export interface DefinitionKey {
  kind: DefinitionKind
  tenant: string
  id: string
}

export interface Definition extends DefinitionKey {
  revision: number
  isRemoved: boolean
  /** The newest revision that the log has; 0 for none, and for what is not for the log. */
  published: number
  updatedAtUs: number
  /** As JSON; `null` of what was removed. */
  value: string
}

/** The next row of a key, of what its row is now, a removed one included. */
export type Edit = (before: Definition | undefined) => Promise<Definition | undefined>

/** Each try fails because another editor got through. */
const TRIES_MAX = 100

export class DefinitionStore {
  readonly #database: ControlDatabase

  constructor(database: ControlDatabase) {
    this.#database = database
  }

  /** Those that are not removed, in the order of their ids' bytes. */
  async list(
    { kind, tenant }: Omit<DefinitionKey, 'id'>,
    { after = '', limit }: { after?: string | undefined; limit: number },
  ): Promise<Definition[]> {
    const clauses = `WHERE kind = $1 AND tenant = $2 AND is_removed = 0 AND id > $3
      ORDER BY id LIMIT $4`
    return this.#select(clauses, [kind, tenant, after, limit])
  }

  /** A removed one, too. */
  async find({ kind, tenant, id }: DefinitionKey): Promise<Definition | undefined> {
    const clauses = 'WHERE kind = $1 AND tenant = $2 AND id = $3'
    const [definition] = await this.#select(clauses, [kind, tenant, id])
    return definition
  }

  count({ kind, tenant }: Omit<DefinitionKey, 'id'>): Promise<number> {
    const clauses = 'WHERE kind = $1 AND tenant = $2 AND is_removed = 0'
    return this.#database.count('definition', clauses, [kind, tenant])
  }

  /** A page of all tenants, removed ones too; `after` is the last of the page before. */
  async page(
    kind: DefinitionKind,
    {
      after,
      limit,
      isUnpublished = false,
    }: { after?: DefinitionKey | undefined; limit: number } & {
      isUnpublished?: boolean
    },
  ): Promise<Definition[]> {
    const clauses = `WHERE kind = $1 AND (tenant > $2 OR (tenant = $2 AND id > $3))
      ${isUnpublished ? 'AND published < revision' : ''} ORDER BY tenant, id LIMIT $4`
    return this.#select(clauses, [kind, after?.tenant ?? '', after?.id ?? '', limit])
  }

  /**
   * Writes what `edit` makes of the row; made anew when somebody else wrote meanwhile. Undefined
   * when it makes nothing. Resolves once durable.
   */
  async edit(key: DefinitionKey, edit: Edit): Promise<Definition | undefined> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const before = await this.find(key)
      const next = await edit(before)
      if (next === undefined) return undefined
      if (await this.#database.write([toChange(next, before?.revision ?? 0)])) return next
    }
    throw new WeirError('CONTROL_WRITE_FAILED', `${key.kind} ${key.id} cannot be written`)
  }

  /** That the log has them. One that was changed meanwhile is left as it is. */
  async markPublished(definitions: readonly Definition[]): Promise<void> {
    const changes = definitions
      .filter(({ published, revision }) => published < revision)
      .map((one) => toChange({ ...one, published: one.revision }, one.revision))
    if (changes.length === 0 || (await this.#database.write(changes))) return
    for (const change of changes) await this.#database.write([change])
  }

  async #select(clauses: string, parameters: (string | number)[]): Promise<Definition[]> {
    return (await this.#database.select('definition', clauses, parameters)).map(toDefinition)
  }
}

const toDefinition = (row: SqlRow): Definition => ({
  kind: row['kind'] as DefinitionKind,
  tenant: row['tenant'] as string,
  id: row['id'] as string,
  revision: row['revision'] as number,
  isRemoved: row['is_removed'] === 1,
  published: row['published'] as number,
  updatedAtUs: row['updated_at_us'] as number,
  value: row['value'] as string,
})

function toChange(definition: Definition, expected: number): Change {
  const { kind, tenant, id, revision, published, value } = definition
  const put: SqlRow = {
    ...{ kind, tenant, id, revision, published, value },
    is_removed: definition.isRemoved ? 1 : 0,
    updated_at_us: definition.updatedAtUs,
  }
  return { table: 'definition', put, expected }
}
