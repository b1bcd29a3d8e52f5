/** Flink's SQL Gateway by its REST: a session, statements one by one, and the rows they give. */
import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 50
const DEADLINE_MS = 120_000

interface Page {
  resultType: 'NOT_READY' | 'PAYLOAD' | 'EOS'
  jobID?: string
  nextResultUri?: string
  results?: { data: { kind: string; fields: unknown[] }[] }
}

interface Answer {
  /** Of the job that computed it; undefined for statements that need none. */
  jobId: string | undefined
  rows: unknown[][]
}

/** One session; its settings, tables and functions are its own. */
export class SqlGateway {
  readonly #url: string
  readonly #session: string

  private constructor(url: string, session: string) {
    this.#url = url
    this.#session = session
  }

  static async open(url: string, properties: Record<string, string> = {}): Promise<SqlGateway> {
    const { sessionHandle } = await send<{ sessionHandle: string }>(`${url}/v1/sessions`, {
      method: 'POST',
      body: JSON.stringify({ properties }),
    })
    return new SqlGateway(url, sessionHandle)
  }

  /** Runs one statement, without a semicolon, to its last row. Throws with what Flink said. */
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
    const untilMs = performance.now() + DEADLINE_MS
    let next = `${result}?rowFormat=JSON`
    while (performance.now() < untilMs) {
      const page = await send<Page>(`${this.#url}${next}`)
      answer.jobId ??= page.jobID
      const rows = page.results?.data ?? []
      answer.rows.push(...rows.map(({ fields }) => fields))
      if (page.resultType === 'EOS' || (await isEnough(answer))) return answer
      next = page.nextResultUri ?? next
      if (rows.length === 0) await delay(POLL_MS)
    }
    throw new Error(
      `no end after ${DEADLINE_MS / 1000} s: ${statement}\n${JSON.stringify(answer.rows)}`,
    )
  }

  /** Cancels what still runs of its queries. */
  async close(): Promise<void> {
    await send(`${this.#url}/v1/sessions/${this.#session}`, { method: 'DELETE' })
  }
}

async function send<T>(url: string, request: RequestInit = {}): Promise<T> {
  const signal = AbortSignal.timeout(DEADLINE_MS)
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(url, { ...request, headers, signal })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`the gateway answers ${answer.status}: ${causeOf(text)}`)
  return JSON.parse(text) as T
}

/** The last cause of a Java stack trace, which is the first thing that went wrong. */
const causeOf = (text: string): string =>
  text.split('\\n').findLast((line) => line.startsWith('Caused by: ')) ?? text
