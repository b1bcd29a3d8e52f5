/**
 * Kafka as the cluster uses it: topics that are there, entries appended with certainty, entries
 * read from where the reader says. No consumer groups: who reads keeps its own offsets.
 * Kafka 3.0 or newer, or what speaks its protocol.
 *
 * K1 append() resolves only when all in-sync replicas have the entries; min.insync.replicas of the
 *    topic says how many that are at least.
 * K2 Entries of one partition get offsets in the order of the append() calls, and in the order in
 *    each call, also when requests are repeated; a repeat writes nothing twice.
 * K3 When append() fails, its entries may be there in part, and those of the calls behind it that
 *    waited for the same partition are refused too: whoever appends all of it again, in its order,
 *    gets no gap and perhaps a repeat.
 * K4 read() gives committed entries only, each once, in the order of their offsets. Offsets may
 *    have gaps.
 * K5 What cannot be had right now is LOG_UNAVAILABLE, after half a minute of trying; a call that is
 *    made again can succeed. What will not get better is LOG_REQUEST_REFUSED at once, with a
 *    message that has no secret in it.
 * K6 Once seal() has resolved, nothing is ever appended to the topic again, by anybody: its ends
 *    stay as they are, and whoever appends gets LOG_ENTRY_TOO_LARGE.
 */

export interface KafkaAccess {
  /** `host:port` of some; the others are asked for. */
  brokers: readonly string[]
  clientId: string
  sasl?: KafkaSasl
  tls?: KafkaTls
}

export interface KafkaSasl {
  mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  username: string
  password: string
}

/** An empty object is TLS with the authorities that Node knows. Files are PEM. */
export interface KafkaTls {
  caFile?: string
  certFile?: string
  keyFile?: string
}

export interface TopicSpec {
  topic: string
  partitions: number
  replication: number
  retentionMs: number
  /** The broker's own when it is not given. */
  minInsyncReplicas?: number
  isCompacted?: boolean
}

/** A topic as it is, which is not as it was asked for when others made it. */
export interface TopicState {
  partitions: number
  replication: number
}

export interface Kafka {
  /**
   * Makes the topics that are missing and leaves the others as they are; says what each is like.
   * Any number of processes may do so at once.
   */
  ensureTopics(specs: readonly TopicSpec[]): Promise<Map<string, TopicState>>
  /** Those of the topics that are there. */
  describeTopics(names: readonly string[]): Promise<Map<string, TopicState>>
  /** Whether seal() was begun. */
  isSealed(topic: string): Promise<boolean>
  /** Whether this user may seal it. Errors: LOG_REQUEST_REFUSED, LOG_UNAVAILABLE. */
  checkSealable(topic: string): Promise<void>
  /**
   * Ends a topic (K6); it may be done again. Until its leaders know, `probe` may get in as an entry
   * of any partition. Errors: LOG_REQUEST_REFUSED, LOG_UNAVAILABLE.
   */
  seal(topic: string, partitions: number, probe: Uint8Array): Promise<void>
  /** The offsets of the oldest entry and of the next one; equal when the partition is empty. */
  bounds(topic: string, partition: number): Promise<Bounds>
  /**
   * How long an entry is there at most, ms: the topic's retention, and the segment that it goes
   * with. Undefined: for ever, or this user is not told. Errors: LOG_UNAVAILABLE.
   */
  keptMs(topic: string): Promise<number | undefined>
  createAppender(topic: string): Appender
  createReader(topic: string): Reader
  /** Entries below `offset` may be forgotten. LOG_OFFSET_GONE beyond the end. */
  deleteBefore(topic: string, partition: number, offset: number): Promise<void>
  /** Also of its appenders and readers. What is under way fails with GATEWAY_SHUTTING_DOWN. */
  close(): Promise<void>
}

export interface Bounds {
  firstOffset: number
  nextOffset: number
}

export interface NewEntry {
  partition: number
  key?: Uint8Array
  value: Uint8Array
  /** The offset of what it was made from, in another topic: the header `source`. */
  source?: number
}

export interface Appender {
  /**
   * Resolves to the offset of the first entry in each partition. The bytes must not change until
   * this settles. Nothing bounds how much waits: that is for the caller, by one call at a time.
   * Errors: LOG_UNAVAILABLE, LOG_ENTRY_TOO_LARGE, LOG_REQUEST_REFUSED.
   */
  append(entries: readonly NewEntry[]): Promise<Map<number, number>>
  close(): Promise<void>
}

/** Key and value are views of what was received: whoever keeps one keeps all of that. */
export interface ReadEntry {
  offset: number
  key: Uint8Array | undefined
  value: Uint8Array
  timestampMs: number
  source?: number | undefined
}

/** One call at a time: a second one would wait for the first. */
export interface Reader {
  /**
   * Waits up to `waitMs`, at most 5,000, for one entry at or behind `fromOffset`; none is no error.
   * `bytesMax` is about what is received: a batch that an appender wrote is never divided.
   * Errors: LOG_OFFSET_GONE with firstOffset and nextOffset in its details, LOG_ENTRY_DAMAGED,
   * LOG_UNAVAILABLE, LOG_REQUEST_REFUSED.
   */
  read(options: {
    partition: number
    fromOffset: number
    bytesMax: number
    waitMs: number
  }): Promise<ReadEntry[]>
  /**
   * Several partitions, with one request to each broker that leads some. The slowest broker
   * decides, so `waitMs` should be short where there are several. Partitions that nobody leads
   * are left out while others have entries.
   */
  readMany(options: {
    /** Offsets to read from, by partition. */
    positions: ReadonlyMap<number, number>
    /** From each broker. */
    bytesMax: number
    waitMs: number
  }): Promise<Map<number, ReadEntry[]>>
  close(): Promise<void>
}
