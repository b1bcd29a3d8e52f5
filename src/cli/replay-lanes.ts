/**
 * Sends a replay's messages in batches, several at a time.
 *
 * R1 The messages of one device are accepted in the file's order: a device has one lane, and a lane
 *    has one request under way.
 * R2 What may succeed later (429, 503, no connection) is sent again, the same bytes; Weir
 *    recognises what it has already.
 * R3 Every message counts once, as accepted or as rejected with a code.
 * R4 Memory is bounded: push() waits while the lane's batch is full and its last one is under way.
 */
import { ERRORS, WeirError } from '../errors/errors.ts'
import { keyOf } from '../fleet/signals.ts'
import type { ApiClient } from './api-client.ts'
import type { ReplayFormat, ReplayMessage } from './replay-item.ts'

export interface LanesOptions {
  client: ApiClient
  format: ReplayFormat
  /** Requests under way at a time. */
  concurrency: number
  batchMessagesMax: number
  precision: string
  /** How long one batch may be tried again before the replay fails. */
  retryMs: number
}

export interface Rejection {
  line: number
  code: string
  detail: string
}

export interface ReplayTotals {
  messages: number
  readings: number
  accepted: number
  rejected: number
  /** By error code. */
  reasons: Map<string, number>
  /** The first few, for people. */
  examples: Rejection[]
}

const BATCH_BYTES_MAX = 500_000
const EXAMPLES_MAX = 5
const BACKOFF_FIRST_MS = 200
const BACKOFF_MAX_MS = 5000
/** The server says only how many lines it refused; the reasons are in its dead letters. */
const UNLISTED = 'NOT_LISTED'

interface Lane {
  batch: ReplayMessage[]
  bytes: number
  underWay: Promise<void>
}

export class ReplayLanes {
  readonly totals: ReplayTotals = {
    messages: 0,
    readings: 0,
    accepted: 0,
    rejected: 0,
    reasons: new Map(),
    examples: [],
  }
  readonly #options: LanesOptions
  readonly #lanes: Lane[]
  #fault: unknown

  constructor(options: LanesOptions) {
    this.#options = options
    this.#lanes = Array.from({ length: options.concurrency }, () => ({
      batch: [],
      bytes: 0,
      underWay: Promise.resolve(),
    }))
  }

  /** Throws what ended an earlier batch for good. */
  async push(message: ReplayMessage): Promise<void> {
    const lane = this.#lanes[keyOf(0, message.deviceId) % this.#lanes.length]
    if (lane === undefined) throw new RangeError('no lanes')
    lane.batch.push(message)
    // UTF-16 length is at most a third of the bytes away, which the limit leaves room for.
    lane.bytes += message.text.length + 1
    const isFull =
      lane.batch.length >= this.#options.batchMessagesMax || lane.bytes >= BATCH_BYTES_MAX
    if (!isFull) return
    await lane.underWay
    if (this.#fault !== undefined) throw this.#fault as Error
    this.#send(lane)
  }

  /** Waits until everything is answered. */
  async finish(): Promise<void> {
    for (const lane of this.#lanes) await lane.underWay
    for (const lane of this.#lanes) if (this.#fault === undefined) this.#send(lane)
    for (const lane of this.#lanes) await lane.underWay
    if (this.#fault !== undefined) throw this.#fault as Error
  }

  /** Counts a line that never became a message. */
  refuse(rejection: Rejection): void {
    this.#reject(rejection.code, 1)
    if (this.totals.examples.length < EXAMPLES_MAX) this.totals.examples.push(rejection)
  }

  #send(lane: Lane): void {
    const batch = lane.batch
    lane.batch = []
    lane.bytes = 0
    if (batch.length === 0) return
    lane.underWay = this.#deliver(batch).catch((error: unknown) => {
      this.#fault ??= error
    })
  }

  async #deliver(batch: ReplayMessage[]): Promise<void> {
    const startMs = performance.now()
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#post(batch)
        return
      } catch (error) {
        const isLate = performance.now() - startMs > this.#options.retryMs
        if (!(error instanceof WeirError) || !error.retryable || isLate) throw error
        const askedMs = Number(error.details['retryAfterS'] ?? 0) * 1000
        const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt)
        await new Promise((resolve) => setTimeout(resolve, Math.max(askedMs, backoffMs)))
      }
    }
  }

  async #post(batch: ReplayMessage[]): Promise<void> {
    const { client, format, precision } = this.#options
    if (format === 'line') {
      const body = batch.map(({ text }) => text).join('\n')
      const path = `/api/v2/write?precision=${precision}&historical=true`
      const { rejectedLines } = await client.postLines(path, body)
      this.#count(batch, rejectedLines)
      this.#reject(UNLISTED, rejectedLines)
      return
    }
    const body = `[${batch.map(({ text }) => text).join(',')}]`
    try {
      const answer = await client.post('/v1/telemetry?historical=true', body)
      this.#judge(batch, answer.body as Verdict)
    } catch (error) {
      // 422: nothing of the batch was good; the server kept each message as a dead letter.
      if (!(error instanceof WeirError) || error.details['status'] !== 422) throw error
      const problem = error.details['problem'] as Partial<Verdict>
      const { code, message: detail } = error
      const all = batch.map((_, index) => ({ index, code, detail }))
      this.#judge(batch, { accepted: 0, rejected: problem.rejected ?? all })
    }
  }

  #judge(batch: ReplayMessage[], { accepted, rejected = [] }: Verdict): void {
    const count = batch.length - accepted
    this.#count(batch, count)
    for (const { index, code, detail } of rejected) {
      this.#reject(code, 1)
      const line = batch[index]?.line ?? 0
      if (this.totals.examples.length < EXAMPLES_MAX)
        this.totals.examples.push({ line, code, detail })
    }
    // The server lists at most 1,000 rejections of a batch.
    this.#reject(UNLISTED, count - rejected.length)
  }

  #count(batch: ReplayMessage[], rejectedCount: number): void {
    this.totals.messages += batch.length
    this.totals.readings += batch.reduce((sum, { readings }) => sum + readings, 0)
    this.totals.accepted += batch.length - rejectedCount
  }

  #reject(code: string, count: number): void {
    if (count <= 0) return
    this.totals.rejected += count
    this.totals.reasons.set(code, (this.totals.reasons.get(code) ?? 0) + count)
  }
}

interface Verdict {
  accepted: number
  rejected?: { index: number; code: string; detail: string }[]
}

/** What a reason means, for people. */
export function describeReason(code: string): string {
  if (code === UNLISTED) return 'the reasons are in GET /v1/dead-letters'
  return Object.hasOwn(ERRORS, code) ? ERRORS[code as keyof typeof ERRORS].title : 'unknown'
}
