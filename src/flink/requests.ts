/** Requests to the two servers of Flink, and what their failures mean. */
import { WeirError } from '../errors/errors.ts'

const TIMEOUT_MS = 120_000
const REASON_LENGTH_MAX = 1000

/** Errors: FLINK_UNAVAILABLE, FLINK_REFUSED. */
export async function send<T>(url: string, request: RequestInit = {}): Promise<T> {
  const { status, text } = await tried(url, request)
  if (status >= 500 && status !== 500) throw unavailable(url, `it answers ${status}`)
  if (status >= 300)
    throw new WeirError('FLINK_REFUSED', `${url} answers ${status}: ${reasonOf(text)}`)
  return (text === '' ? {} : JSON.parse(text)) as T
}

async function tried(url: string, request: RequestInit): Promise<{ status: number; text: string }> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(url, { ...request, headers, signal })
    return { status: answer.status, text: await answer.text() }
  } catch (cause) {
    const { message, cause: below } = cause as Error
    throw unavailable(url, below instanceof Error ? below.message : message, cause)
  }
}

const unavailable = (url: string, detail: string, cause?: unknown): WeirError =>
  new WeirError('FLINK_UNAVAILABLE', `${new URL(url).origin}: ${detail}`, { cause })

/** The last cause of a Java stack trace, which is the first thing that went wrong. */
export function reasonOf(text: string): string {
  const lines = text.split(/\\n|\n/).map((line) => line.trim())
  const cause = lines.findLast((line) => line.startsWith('Caused by: ')) ?? lines[0] ?? ''
  return cause.replace(/^Caused by: /, '').slice(0, REASON_LENGTH_MAX)
}
