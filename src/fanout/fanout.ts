/**
 * Telling other processes what happens now, to whoever listens: live events of a cluster. Nothing
 * here is a truth; what was missed is asked of the queries.
 *
 * F1 A message reaches a listener of its channel at most once, unchanged, and in the order in which
 *    one publisher published.
 * F2 It reaches no listener of another channel.
 * F3 publish() neither throws nor waits. What cannot be sent (not connected, too large, too much
 *    under way) is dropped and counted; nothing is sent later instead.
 * F4 A subscription begins some time after subscribe(), goes on through every reconnection, and
 *    misses what was published meanwhile.
 * F5 Once its subscription ended a listener hears nothing more.
 * F6 A listener that throws is counted, and disturbs no other.
 */
export interface Fanout {
  /** Valid Unicode, at most MESSAGE_LENGTH_MAX. */
  publish(channel: string, message: string): void
  /** Returns what ends it. */
  subscribe(channel: string, listener: (message: string) => void): () => void
  counts(): FanoutCounts
  /** Ends all subscriptions; drops from here on. May be called again. */
  close(): Promise<void>
}

/** Since it was opened. */
export interface FanoutCounts {
  /** Handed over to be told; whether anybody listened is not known. */
  published: number
  /** Not handed over, or not known to be. */
  dropped: number
  /** Calls of listeners. */
  heard: number
  /** Calls of listeners that threw. */
  failed: number
}

/** In UTF-16 units, as `length` counts. */
export const MESSAGE_LENGTH_MAX = 1024 * 1024

export { Listeners } from './listeners.ts'
export { LiveSink, type FollowedDevice } from './live-sink.ts'
export { LiveSource } from './live-source.ts'
