/** Flink's SQL Gateway by its REST: a session, statements one by one, and the rows they give. */
import { WeirError } from '../errors/errors.ts'
import type { Pause } from './flink.ts'
import { send } from './requests.ts'

const POLL_MS = 50
const POLLS_MAX = 2400

interface Page {
  resultType: 'NOT_READY' | 'PAYLOAD' | 'EOS'
  jobID?: string
  nextResultUri?: string
  results?: { data: { kind: string; fields: unknown[] }[] }
}

export interface Answer {
  /** Of the job that computed it; undefined for statements that need none. */
  jobId: string | undefined
  rows: unknown[][]
}

/** One session; its settings, tables and functions are its own. Errors of all methods: F4. */
export class SqlGateway implements AsyncDisposable {
  readonly #url: string
  readonly #session: string
  readonly #pause: Pause

  private constructor(url: string, session: string, pause: Pause) {
    this.#url = url
    this.#session = session
    this.#pause = pause
  }

  static async open(
    url: string,
    { properties = {}, pause }: { properties?: Record<string, string>; pause: Pause },
  ): Promise<SqlGateway> {
    const { sessionHandle } = await send<{ sessionHandle: string }>(`${url}/v1/sessions`, {
      method: 'POST',
      body: JSON.stringify({ properties }),
    })
    return new SqlGateway(url, sessionHandle, pause)
  }

  /** Runs one statement, without a semicolon, to its last row. */
  async run(statement: string): Promise<Answer> {
    return this.runUntil(statement, () => false)
  }

  /**
   * As `run`, for a statement that may never end: until its rows are what they are wanted to be.
   */
  async runUntil(
    statement: string,
    isEnough: (answer: Answer) => boolean | Promise<boolean>,
  ): Promise<Answer> {
    const { operationHandle } = await send<{ operationHandle: string }>(
      `${this.#url}/v1/sessions/${this.#session}/statements`,
      { method: 'POST', body: JSON.stringify({ statement }) },
    )
    const result = `/v1/sessions/${this.#session}/operations/${operationHandle}/result/0`
    const answer: Answer = { jobId: undefined, rows: [] }
    let next = `${result}?rowFormat=JSON`
    for (let emptyPolls = 0; emptyPolls < POLLS_MAX;) {
      const page = await send<Page>(`${this.#url}${next}`)
      answer.jobId ??= page.jobID
      const rows = page.results?.data ?? []
      answer.rows.push(...rows.map(({ fields }) => fields))
      if (page.resultType === 'EOS' || (await isEnough(answer))) return answer
      next = page.nextResultUri ?? next
      if (rows.length > 0) continue
      emptyPolls++
      await this.#pause(POLL_MS)
    }
    const [line = ''] = statement.split('\n')
    throw new WeirError('FLINK_UNAVAILABLE', `${this.#url}: no end of ${line}`)
  }

  /** Cancels what still runs of its queries; a job that was submitted goes on. */
  async close(): Promise<void> {
    await send(`${this.#url}/v1/sessions/${this.#session}`, { method: 'DELETE' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
