/**
 * What travels between those who watch and those who see it happen.
 *
 * `live.v1:<tenant>`: from gateways and stream stages to the processes that serve people.
 * `follow.v1`: the other way, which devices' readings somebody follows. Every process says it
 * again each FOLLOW_INTERVAL_MS and when it changes, and is forgotten after three times that: so
 * neither a message that was missed nor a process that was killed matters for long. (The other way
 * would be a key with a time to live for each process, which the stages would have to look for
 * again and again; a channel needs nothing besides the port.)
 */
import type { LiveEvent } from '../api/api.ts'

export const FOLLOW_CHANNEL = 'follow.v1'
export const FOLLOW_INTERVAL_MS = 2000
export const FOLLOW_TTL_MS = 3 * FOLLOW_INTERVAL_MS

/** Ids of devices have at most 128 characters: a page is far from a message's limit. */
export const FOLLOWED_PER_PAGE = 1000

export const liveChannelOf = (tenant: string): string => `live.v1:${tenant}`

export type Rates = Record<'readings_per_second' | 'messages_per_second', number>

/** A rate is one process's own; it does not know the number of devices. */
export type ToldEvent = Exclude<LiveEvent, { event: 'rate' }> | { event: 'rate'; data: Rates }

export interface LiveMessage {
  /** The process. */
  from: string
  events: ToldEvent[]
}

export interface FollowMessage {
  from: string
  /** From 0 to `pages` - 1; what was said on pages beyond is over. */
  page: number
  pages: number
  /** Tenant and device. */
  devices: [string, string][]
}

/** Undefined when it is none: some other program may publish on our channels. */
export function parseMessage<Message extends { from: string }>(
  text: string,
  list: keyof Message,
): Message | undefined {
  try {
    const message = JSON.parse(text) as Message | null
    const isOne = typeof message?.from === 'string' && Array.isArray(message[list])
    return isOne ? message : undefined
  } catch {
    return undefined
  }
}

const ID_BYTES = 12

/** Two processes never share one. */
export const newProcessId = (random: { bytes(count: number): Uint8Array }): string =>
  Buffer.from(random.bytes(ID_BYTES)).toString('hex')
