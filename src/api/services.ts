/** What the routes share: the ports, the limits, and the API's own small parts. */
import type { Events, Registry } from '../observe/observe.ts'
import type { ApiPorts } from './api.ts'
import type { BodyBudget } from './body-budget.ts'
import type { QuestionGate } from './question-gate.ts'

/** All bytes are bytes, all times milliseconds. */
export interface ApiLimits {
  /** A request's body as it comes over the wire. */
  bodyBytesMax: number
  /** A body after gzip is undone. */
  inflatedBytesMax: number
  /** Bodies of all requests under way. */
  bodiesBytesMax: number
  /** Open connections; the next one is closed at once. */
  connectionsMax: number
  /** From the first byte of a request's head to its last (slow-loris). */
  headersTimeoutMs: number
  /** The same for head and body together. */
  requestTimeoutMs: number
  /** A connection on which nothing moves for this long, in either direction, is closed. */
  idleTimeoutMs: number
  /** Open `GET /v1/live` streams. */
  liveStreamsMax: number
  /** Bytes that wait for one live client; beyond, it reads too slowly and is closed. */
  liveBufferBytesMax: number
  heartbeatMs: number
  /** Questions to the engine that are worked on at once. */
  questionsAtOnce: number
  /** The same of statements of SQL. */
  statementsAtOnce: number
  /** Questions that wait. */
  questionsWaitingMax: number
  /** Of one question, waiting and work each. */
  questionTimeMs: number
  /** Of one answer to a question. */
  answerBytesMax: number
  /** How long close() waits for requests under way. */
  drainMs: number
}

export const API_LIMITS: Readonly<ApiLimits> = {
  bodyBytesMax: 8 << 20,
  inflatedBytesMax: 16 << 20,
  bodiesBytesMax: 128 << 20,
  connectionsMax: 20_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  idleTimeoutMs: 300_000,
  liveStreamsMax: 256,
  liveBufferBytesMax: 256 << 10,
  heartbeatMs: 15_000,
  questionsAtOnce: 8,
  statementsAtOnce: 8,
  questionsWaitingMax: 100,
  questionTimeMs: 30_000,
  answerBytesMax: 32 << 20,
  drainMs: 3_000,
}

/** Latest values come from memory or by one index: they wait for no long question. */
export interface Gates {
  query: QuestionGate
  latest: QuestionGate
  sql: QuestionGate
}

export interface Services<Ports extends ApiPorts = ApiPorts> {
  ports: Ports
  limits: ApiLimits
  bodies: BodyBudget
  gates: Gates
  registry: Registry
  events: Events | undefined
}
