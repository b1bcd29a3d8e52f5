/**
 * The events topic into alerts: first they are durable, then the offset moves. What was cut off
 * between the two is taken again, which changes nothing (A1).
 *
 * Whoever holds the lease also sends what is due, and nobody else: `begin` is called with each
 * claim, and `end` as soon as the lease is lost or given back.
 */
import type { AlertFeed } from '../alerts/alerts.ts'
import { WeirError } from '../errors/errors.ts'
import type { ReadEntry } from '../kafka/kafka.ts'
import { SeriesIds, type Lease, type PostgresWriter } from '../postgres/postgres.ts'
import type { RuleEvent } from '../stream/stream.ts'
import type { EventEntry } from './event-entry.ts'
import type {
  DecodedPartition,
  EntryDecoder,
  TopicSpan,
  TopicTarget,
  Written,
} from './topic-writer.ts'

export interface AlertTargetParts {
  /** Keeps offsets and leases. */
  writer: PostgresWriter
  /** Where the events of this lease go. The lease is given back when it fails. */
  begin: () => Promise<AlertFeed>
  /** Nobody may be told anything any more. */
  end: () => void
  malformed: (topic: string, offset: number, error: WeirError) => void
}

/** The lease, and the name under which offsets are kept, beside those of the topic's rows. */
const LEASE = 'alerts'
const nameOf = (topic: string): string => `alerts:${topic}`

/** What has rows beside its offset counts series; an offset alone has none. */
const NO_SERIES = new SeriesIds()

export class AlertTarget implements TopicTarget<RuleEvent[]> {
  readonly isCopy = false
  readonly #parts: AlertTargetParts
  /** Of the lease. */
  #feed: AlertFeed | undefined
  /** Rejects when the lease is lost: then nothing more comes of what was given to the feed. */
  #lost: Promise<never> = new Promise(() => undefined)

  constructor(parts: AlertTargetParts) {
    this.#parts = parts
  }

  async claim(): Promise<Lease | undefined> {
    const { writer, begin, end } = this.#parts
    const lease = await writer.claim(LEASE)
    if (lease === undefined) return undefined
    try {
      this.#feed = await begin()
    } catch (error) {
      await lease.release()
      throw error
    }
    const lost = Promise.withResolvers<never>()
    lost.promise.catch(() => undefined)
    this.#lost = lost.promise
    const lose = (): void => {
      end()
      lost.reject(new WeirError('STORAGE_FENCED', 'another process may have the alerts'))
    }
    if (lease.lost.aborted) lose()
    else lease.lost.addEventListener('abort', lose)
    return lease
  }

  offsets(topic: string): Promise<Map<number, number>> {
    return this.#parts.writer.offsets(nameOf(topic))
  }

  createDecoder({ topic }: DecodedPartition): EntryDecoder<RuleEvent[]> {
    const { malformed } = this.#parts
    return {
      decode: (entries) =>
        entries.flatMap((entry) =>
          eventIn(entry, (error) => malformed(topic, entry.offset, error)),
        ),
    }
  }

  async write(lease: Lease, span: TopicSpan, events: RuleEvent[]): Promise<Written> {
    if (events.length > 0) await Promise.race([this.#feed!.take(events), this.#lost])
    const { writer } = this.#parts
    return writer.write(lease, { ...span, topic: nameOf(span.topic), series: NO_SERIES })
  }
}

const text = new TextDecoder('utf-8', { fatal: true })

/** The writer tells of what is no event at all. */
function eventIn({ value }: ReadEntry, malformed: (error: WeirError) => void): RuleEvent[] {
  let entry: unknown
  try {
    entry = JSON.parse(text.decode(value))
  } catch {
    return []
  }
  const { type, event } = (entry ?? {}) as Partial<EventEntry & { event: unknown }>
  if (type !== 'alert') return []
  if (isRuleEvent(event)) return [event]
  malformed(new WeirError('ENTRY_MALFORMED', 'it is no event of a rule'))
  return []
}

/** A NUL cannot stand in a text of PostgreSQL. */
const isText = (value: unknown): boolean => typeof value === 'string' && !value.includes('\0')
const isTime = Number.isSafeInteger

function isRuleEvent(value: unknown): value is RuleEvent {
  if (typeof value !== 'object' || value === null) return false
  const event = value as Partial<Record<keyof RuleEvent, unknown>>
  const { id, tenant, ruleId, deviceId, severity, state, reason, values } = event
  const { ruleVersion, triggeredAtUs, resolvedAtUs, breachEventTimeUs } = event
  const ended = state === 'resolved' ? isTime(resolvedAtUs) : state === 'firing'
  return (
    [id, tenant, ruleId, deviceId, severity].every(isText) &&
    [ruleVersion, triggeredAtUs, breachEventTimeUs].every(isTime) &&
    ended &&
    [reason, values].every((part) => typeof part === 'object' && part !== null)
  )
}
