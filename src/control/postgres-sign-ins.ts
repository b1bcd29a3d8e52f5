/**
 * Sign-ins on PostgreSQL: whichever process made one, each of them knows it, and what one took is
 * gone for all. The server's clock says when a life is over, since the processes' may differ.
 */
import type pg from 'pg'
import type { Random } from '../world/world.ts'
import { SIGN_IN_LIMITS, type SignInKind, type SignIns } from './control.ts'
import { unavailable } from './postgres-database.ts'
import { createSecret, hashSecret } from './secrets.ts'

/**
 * Those that are too old go, and the oldest of too many. All of a kind live equally long, so the
 * order of their ends is that of their beginnings.
 */
const MAKE_ROOM = `
  DELETE FROM sign_in WHERE kind = $1 AND expires_at <= greatest(now(),
    (SELECT expires_at FROM sign_in WHERE kind = $1 ORDER BY expires_at DESC OFFSET $2 LIMIT 1))`
const CREATE = `
  INSERT INTO sign_in VALUES ($1, $2, now() + $3 * interval '1 millisecond')`
const HAS = 'SELECT FROM sign_in WHERE kind = $1 AND hash = $2 AND expires_at > now()'
/** Of any number of these at once one finds the row: the others wait until it is gone. */
const TAKE =
  'DELETE FROM sign_in WHERE kind = $1 AND hash = $2 RETURNING expires_at > now() AS lives'

export class PostgresSignIns implements SignIns {
  readonly #pool: pg.Pool
  readonly #random: Random

  constructor(pool: pg.Pool, random: Random) {
    this.#pool = pool
    this.#random = random
  }

  async create(kind: SignInKind): Promise<string> {
    const { lifetimeMs, countMax } = SIGN_IN_LIMITS[kind]
    const secret = createSecret('', this.#random)
    await this.#ask(CREATE, [hashSecret(secret), kind, lifetimeMs])
    await this.#ask(MAKE_ROOM, [kind, countMax])
    return secret
  }

  async has(kind: SignInKind, secret: string): Promise<boolean> {
    return (await this.#ask(HAS, [kind, hashSecret(secret)])).length > 0
  }

  async take(kind: SignInKind, secret: string): Promise<boolean> {
    const [taken] = await this.#ask(TAKE, [kind, hashSecret(secret)])
    return taken?.lives === true
  }

  async #ask(text: string, values: readonly unknown[]): Promise<{ lives?: boolean }[]> {
    try {
      return (await this.#pool.query<{ lives?: boolean }>(text, [...values])).rows
    } catch (cause) {
      throw unavailable(cause)
    }
  }
}
