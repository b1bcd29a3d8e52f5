/**
 * Amazon Athena: a statement is started, asked after until it is done, and its rows are fetched
 * 1,000 at a time. It writes them into a bucket too (`outputLocation`, or the workgroup's).
 */
import {
  AthenaClient,
  GetQueryExecutionCommand,
  GetQueryResultsCommand,
  StartQueryExecutionCommand,
  StopQueryExecutionCommand,
  type GetQueryResultsCommandOutput,
  type QueryExecution,
} from '@aws-sdk/client-athena'
import { WeirError, type ErrorCode } from '../errors/errors.ts'
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

export interface AthenaAccess {
  region: string
  /** Of another service than AWS. */
  endpoint?: string
  /** Without: from the environment, the user's files or the machine's role, as AWS does. */
  credentials?: { accessKey: string; secretKey: string }
  workgroup: string
  /** `s3://bucket/results/`; without: what the workgroup has. */
  outputLocation?: string
}

/** Of StartQueryExecution. */
const STATEMENT_LENGTH_MAX = 262_144
const PAGE_ROWS = 1000
/** The time of a short statement; a longer one is asked after less often. */
const POLL_DELAY_MS = 100
const POLL_DELAY_MS_MAX = 2000
const CONNECT_TIMEOUT_MS = 3000
/** Of AthenaError: the statement's, or the user's fault. */
const USER_CATEGORY = 2

export const openAthena = (access: AthenaAccess, world: EngineWorld): LakeEngine =>
  new Athena(access, world)

class Athena implements LakeEngine {
  readonly kind = 'athena'
  readonly statementLengthMax = STATEMENT_LENGTH_MAX
  readonly #access: AthenaAccess
  readonly #world: EngineWorld
  readonly #client: AthenaClient
  readonly #place: string
  readonly #closed = new AbortController()

  constructor(access: AthenaAccess, world: EngineWorld) {
    this.#access = access
    this.#world = world
    const { region, endpoint, credentials } = access
    this.#place = endpoint ?? `Athena in ${region}`
    this.#client = new AthenaClient({
      region,
      requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS },
      ...(endpoint !== undefined && { endpoint }),
      ...(credentials !== undefined && {
        credentials: {
          accessKeyId: credentials.accessKey,
          secretAccessKey: credentials.secretKey,
        },
      }),
    })
  }

  refreshOf(table: string): string {
    return refreshStatement('athena', table)
  }

  close(): void {
    this.#closed.abort()
    this.#client.destroy()
  }

  async *run(
    statement: string,
    limits: EngineLimits,
    signal?: AbortSignal,
  ): AsyncGenerator<EnginePage> {
    const { clock } = this.#world
    const closed = this.#closed.signal
    const budget = new RunBudget({ limits, clock, signal, closed, place: this.#place })
    let running: string | undefined
    try {
      budget.throwIfEnded()
      running = await this.#start(statement, budget)
      const id = running
      const { StatementType } = await this.#done(id, budget)
      running = undefined
      // The names of the columns stand in the first row of what was selected.
      let isHeader = StatementType === 'DML'
      let token: string | undefined
      do {
        const results = await this.#results({ id, token }, budget)
        const { columns, rows } = pageOf(results)
        token = results.NextToken
        const own = isHeader ? rows.slice(1) : rows
        isHeader = false
        budget.takeRows(own.length)
        budget.takeBytes(own.reduce((sum, row) => sum + lengthOf(row), 0))
        if (own.length > 0) yield { columns, rows: own.map((row) => valuesOf(row, columns)) }
      } while (token !== undefined)
    } catch (error) {
      throw budget.reasonFor(this.#failure(error))
    } finally {
      budget.end()
      if (running !== undefined) await this.#cancel(running)
    }
  }

  async #start(statement: string, { signal }: RunBudget): Promise<string> {
    const { workgroup, outputLocation } = this.#access
    const token = Buffer.from(this.#world.random.bytes(32)).toString('hex')
    const command = new StartQueryExecutionCommand({
      QueryString: statement,
      WorkGroup: workgroup,
      // A try whose answer was lost starts nothing new.
      ClientRequestToken: token,
      ...(outputLocation !== undefined && {
        ResultConfiguration: { OutputLocation: outputLocation },
      }),
    })
    const { QueryExecutionId: id } = await this.#client.send(command, { abortSignal: signal })
    return id!
  }

  /** When it has ended well. */
  async #done(id: string, budget: RunBudget): Promise<QueryExecution> {
    for (let delayMs = POLL_DELAY_MS; ; delayMs = Math.min(POLL_DELAY_MS_MAX, delayMs * 1.5)) {
      await budget.wait(delayMs)
      const { QueryExecution: execution = {} } = await this.#client.send(
        new GetQueryExecutionCommand({ QueryExecutionId: id }),
        { abortSignal: budget.signal },
      )
      const { State: state, StateChangeReason: why = '', AthenaError } = execution.Status ?? {}
      if (state === 'SUCCEEDED') return execution
      if (state !== 'FAILED' && state !== 'CANCELLED') continue
      const isOurs = AthenaError?.ErrorCategory === USER_CATEGORY && AthenaError.Retryable !== true
      throw this.#error(isOurs ? 'ENGINE_REFUSED' : 'ENGINE_UNAVAILABLE', `${state}: ${why}`)
    }
  }

  #results(
    { id, token }: { id: string; token: string | undefined },
    { signal }: RunBudget,
  ): Promise<GetQueryResultsCommandOutput> {
    const command = new GetQueryResultsCommand({
      ...{ QueryExecutionId: id, MaxResults: PAGE_ROWS },
      ...(token !== undefined && { NextToken: token }),
    })
    return this.#client.send(command, { abortSignal: signal })
  }

  #cancel(id: string): Promise<void> {
    const command = new StopQueryExecutionCommand({ QueryExecutionId: id })
    return tryToCancel(this.#world.clock, (abortSignal) =>
      this.#client.send(command, { abortSignal }),
    )
  }

  #failure(error: unknown): unknown {
    if (error instanceof WeirError) return error
    const { name = '', message = '', code = '', $metadata } = error as AwsFailure
    const status = $metadata?.httpStatusCode ?? 0
    const isRefusal = status >= 400 && status < 500 && !PASSING.test(name)
    const words = [name, code, message].filter((word, at, all) => all.indexOf(word) === at)
    const text = words.filter((word) => word !== '').join(': ')
    return this.#error(isRefusal ? 'ENGINE_REFUSED' : 'ENGINE_UNAVAILABLE', text)
  }

  #error(code: ErrorCode, text: string): WeirError {
    const secret = this.#access.credentials?.secretKey ?? ''
    const shown = secret === '' ? text : text.replaceAll(secret, '***')
    return new WeirError(code, `${this.#place}: ${shown.slice(0, REASON_LENGTH_MAX)}`)
  }
}

interface AwsFailure {
  name?: string
  message?: string
  code?: string
  $metadata?: { httpStatusCode?: number }
}

/** Refusals with a status of 4xx that pass. */
const PASSING = /Throttl|TooMany|RequestLimit|SlowDown|RequestTimeout/

type Cells = (string | undefined)[]

function pageOf({ ResultSet: set = {} }: GetQueryResultsCommandOutput) {
  const columns = (set.ResultSetMetadata?.ColumnInfo ?? []).map(
    ({ Name: name = '', Type: type = '' }) => ({ name, type: type.toLowerCase() }),
  )
  const rows = (set.Rows ?? []).map(({ Data: data = [] }): Cells =>
    data.map(({ VarCharValue }) => VarCharValue),
  )
  return { columns, rows }
}

const lengthOf = (row: Cells): number =>
  row.reduce((sum, cell) => sum + Buffer.byteLength(cell ?? ''), 0)

const NUMBERS = /^(?:tinyint|smallint|integer|bigint|float|real|double)$/

/** Everything is a text there; what is not there is null. */
function valuesOf(row: Cells, columns: readonly EngineColumn[]): EngineValue[] {
  return row.map((cell, at) => {
    const type = columns[at]?.type ?? 'varchar'
    if (cell === undefined) return null
    if (NUMBERS.test(type)) return Number(cell)
    return type === 'boolean' ? cell === 'true' : cell
  })
}
