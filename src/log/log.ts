/**
 * The log: the one durable truth. Entries are opaque bytes (a frame of `src/batch`); everything
 * else in Weir is derived from them and says up to which offset.
 *
 * G1 append() resolves only once the entry would survive a power cut; then with its offset.
 * G2 Offsets are consecutive integers from 0, in the order of the append() calls; entries become
 *    durable in that order: if offset n is durable, so is every smaller one.
 * G3 read() gives durable entries only, in order, byte for byte, each once.
 * G4 An entry that was not acknowledged may or may not be there after a crash, but never torn.
 * G5 trim(n) may free entries below n and never one at or above it; firstOffset says what is left.
 * G6 A full disk rejects append() with LOG_DISK_FULL, keeps every acknowledged entry, and appends
 *    succeed again once there is room.
 * G7 A failed flush rejects with LOG_FLUSH_FAILED, and so does every later append(): what the
 *    kernel may have dropped is never acknowledged from its cache.
 * G8 Damage is found by checksum: a torn tail is cut at open, damage elsewhere rejects read() with
 *    LOG_ENTRY_DAMAGED naming segment and offset, and reading on behind it works.
 * G9 restartAt(n), n at or above nextOffset, forgets every entry, and the next one gets offset n:
 *    for a log that lost its end, while who reads it holds more. Without it offsets that were
 *    processed would be given again, and what gets them would be taken for a repeat.
 */
export interface LogEntry {
  offset: number
  bytes: Uint8Array
}

/** What makes an acknowledgement true. */
export interface LogAppender {
  /** The bytes must not change until this settles. After close(): GATEWAY_SHUTTING_DOWN. */
  append(bytes: Uint8Array): Promise<number>
  close(): Promise<void>
}

export interface Log extends LogAppender {
  /**
   * At least one entry (if there is one at or after `fromOffset`), then up to `bytesMax` bytes, but
   * perhaps fewer entries than would fit: read on behind the last one. Each entry's bytes are
   * aligned to 8. They own their buffer, so they can be transferred to another thread; or they may
   * be views of `into`, where a reader brings it, and are good until it is used again. On
   * LOG_ENTRY_DAMAGED, `details.resumeOffset` is where to read on.
   */
  read(fromOffset: number, bytesMax: number, into?: Uint8Array<ArrayBuffer>): Promise<LogEntry[]>
  trim(beforeOffset: number): Promise<void>
  /** Not while an append is under way. An empty log forgets it when it is closed. */
  restartAt(offset: number): Promise<void>
  /** The oldest offset still readable; equals nextOffset when empty. */
  readonly firstOffset: number
  /** The offset that the next entry gets once durable (all below it are durable). */
  readonly nextOffset: number
  readonly statistics: LogStatistics
}

/** Running totals since open, and current sizes. */
export interface LogStatistics {
  entriesAppended: number
  bytesAppended: number
  flushes: number
  segmentCount: number
  bytesOnDisk: number
}
