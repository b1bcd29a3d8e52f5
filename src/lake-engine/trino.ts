/**
 * Trino by its HTTP protocol (trino.io/docs/current/develop/client-protocol.html): POST the
 * statement, then GET each page's `nextUri` until there is none; the server holds a GET until it
 * has something. DELETE of `nextUri` cancels.
 */
import { WeirError } from '../errors/errors.ts'
import { refreshStatement } from '../lake/lake.ts'
import type {
  EngineColumn,
  EngineLimits,
  EnginePage,
  EngineValue,
  EngineWorld,
  LakeEngine,
} from './lake-engine.ts'
import { REASON_LENGTH_MAX, RunBudget, tryToCancel } from './run-budget.ts'

export interface TrinoAccess {
  /** `https://trino:8443`, without a path. */
  url: string
  user: string
  /** One of them, over https only. */
  password?: string
  token?: string
}

/** `query.max-length` of a server that was told nothing else. */
const STATEMENT_LENGTH_MAX = 1_000_000
/** What a proxy before Trino answers when it is busy or has just restarted. */
const PASSING = [429, 502, 503, 504]
/** As the protocol asks. */
const RETRY_DELAY_MS = 50
const RETRY_DELAY_MS_MAX = 1000
/** From the first failure without an answer between. */
const AWAY_MS_MAX = 5000

interface QueryResults {
  nextUri?: string
  columns?: { name: string; type: string }[]
  data?: unknown[][]
  error?: { message: string; errorName: string; errorType: string }
}

export const openTrino = (access: TrinoAccess, world: EngineWorld): LakeEngine =>
  new Trino(access, world)

class Trino implements LakeEngine {
  readonly kind = 'trino'
  readonly statementLengthMax = STATEMENT_LENGTH_MAX
  readonly #access: TrinoAccess
  readonly #world: EngineWorld
  readonly #origin: string
  readonly #closed = new AbortController()

  constructor(access: TrinoAccess, world: EngineWorld) {
    this.#access = access
    this.#world = world
    this.#origin = new URL(access.url).origin
  }

  refreshOf(table: string): string {
    return refreshStatement('trino', table)
  }

  close(): void {
    this.#closed.abort()
  }

  async *run(
    statement: string,
    limits: EngineLimits,
    signal?: AbortSignal,
  ): AsyncGenerator<EnginePage> {
    const { clock } = this.#world
    const closed = this.#closed.signal
    const budget = new RunBudget({ limits, clock, signal, closed, place: this.#origin })
    let next: string | undefined
    try {
      budget.throwIfEnded()
      const headers = this.#headers(limits)
      const url = `${this.#origin}/v1/statement`
      let page = await this.#ask(url, { method: 'POST', headers, body: statement }, budget)
      for (;;) {
        next = this.#nextOf(page)
        if (page.error !== undefined) throw this.#failure(page.error)
        const columns = (page.columns ?? []).map(({ name, type }) => ({ name, type }))
        const rows = page.data ?? []
        budget.takeRows(rows.length)
        if (rows.length > 0) yield { columns, rows: rows.map((row) => valuesOf(row, columns)) }
        if (next === undefined) return
        page = await this.#ask(next, { method: 'GET', headers }, budget)
      }
    } catch (error) {
      throw budget.reasonFor(error)
    } finally {
      budget.end()
      if (next !== undefined) await this.#cancel(next)
    }
  }

  #headers({ timeoutMs }: EngineLimits): Record<string, string> {
    const { user } = this.#access
    const authorization = this.#authorization()
    return {
      'x-trino-user': user,
      'x-trino-source': 'weir',
      'x-trino-time-zone': 'UTC',
      // Without it times come to the millisecond.
      'x-trino-client-capabilities': 'PARAMETRIC_DATETIME',
      // For the day on which nobody is left to cancel it.
      'x-trino-session': `query_max_run_time=${Math.ceil(timeoutMs / 1000)}s`,
      ...(authorization !== undefined && { authorization }),
    }
  }

  #authorization(): string | undefined {
    const { user, password, token } = this.#access
    if (token !== undefined) return `Bearer ${token}`
    if (password === undefined) return undefined
    return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  }

  /** Credentials go to nobody else. */
  #nextOf({ nextUri }: QueryResults): string | undefined {
    if (nextUri === undefined || URL.parse(nextUri)?.origin === this.#origin) return nextUri
    const detail = `it goes on at ${nextUri.slice(0, 100)}, which is not engine.url: a proxy before Trino must forward the address (http-server.process-forwarded)`
    throw new WeirError('ENGINE_REFUSED', `${this.#origin}: ${detail}`)
  }

  /** Errors: ENGINE_UNAVAILABLE, ENGINE_REFUSED, and what the budget says. */
  async #ask(url: string, request: RequestInit, budget: RunBudget): Promise<QueryResults> {
    const { clock, random } = this.#world
    const beginMs = clock.monotonicMs()
    for (let tries = 0; ; tries++) {
      const { status, text } = await this.#try(url, request, budget)
      budget.throwIfEnded()
      if (status === 200) return this.#parse(text)
      const reason = this.#shown(text)
      if (status !== 0 && !PASSING.includes(status)) {
        throw new WeirError('ENGINE_REFUSED', `${this.#origin} answers ${status}: ${reason}`)
      }
      const backoffMs = Math.min(RETRY_DELAY_MS_MAX, RETRY_DELAY_MS * 2 ** tries)
      const delayMs = backoffMs * (1 + random.unit())
      if (clock.monotonicMs() - beginMs + delayMs > AWAY_MS_MAX) {
        const answer = status === 0 ? reason : `it answers ${status}`
        throw new WeirError('ENGINE_UNAVAILABLE', `${this.#origin}: ${answer}`)
      }
      await budget.wait(delayMs)
    }
  }

  /** Status 0 when there was no answer. */
  async #try(
    url: string,
    request: RequestInit,
    budget: RunBudget,
  ): Promise<{ status: number; text: string }> {
    try {
      const { signal } = budget
      const answer = await fetch(url, { ...request, redirect: 'manual', signal })
      const parts: Uint8Array[] = []
      for await (const part of answer.body ?? []) {
        budget.takeBytes(part.length)
        parts.push(part)
      }
      return { status: answer.status, text: Buffer.concat(parts).toString() }
    } catch (error) {
      if (error instanceof WeirError) throw error
      const { cause, message } = error as { cause?: { code?: string }; message: string }
      return { status: 0, text: cause?.code ?? message }
    }
  }

  #parse(text: string): QueryResults {
    try {
      return JSON.parse(text) as QueryResults
    } catch {
      throw new WeirError('ENGINE_REFUSED', `${this.#origin} is no Trino: ${this.#shown(text)}`)
    }
  }

  #failure({ message, errorName, errorType }: NonNullable<QueryResults['error']>): WeirError {
    const code = errorType === 'USER_ERROR' ? 'ENGINE_REFUSED' : 'ENGINE_UNAVAILABLE'
    return new WeirError(code, `${this.#origin}: ${errorName}: ${this.#shown(message)}`)
  }

  #shown(text: string): string {
    const { password, token } = this.#access
    const secrets = [password, token, this.#authorization()].filter((one) => one !== undefined)
    const shown = secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text)
    return shown.replaceAll(/\s+/g, ' ').trim().slice(0, REASON_LENGTH_MAX)
  }

  /** What is not cancelled ends by `query_max_run_time`. */
  #cancel(url: string): Promise<void> {
    const authorization = this.#authorization()
    const headers = {
      'x-trino-user': this.#access.user,
      ...(authorization !== undefined && { authorization }),
    }
    return tryToCancel(this.#world.clock, (signal) =>
      fetch(url, { method: 'DELETE', headers, signal }),
    )
  }
}

const NUMBERS = /^(?:tinyint|smallint|integer|bigint|real|double)$/

/** NaN and infinities come as texts, decimals and times too. */
function valuesOf(row: readonly unknown[], columns: readonly EngineColumn[]): EngineValue[] {
  return row.map((value, at) => {
    if (value === null || typeof value === 'number' || typeof value === 'boolean') return value
    if (typeof value !== 'string') return JSON.stringify(value)
    return NUMBERS.test(columns[at]!.type) ? Number(value) : value
  })
}
