/**
 * The world outside: time, chance, disk and sockets. Everything below the composition roots gets
 * these through constructors, so that a seed replays a failure. `node-world.ts` is the real one;
 * `memory-disk.ts` is a disk that forgets what was not synced. The lint forbids `Date.now`,
 * `Math.random`, `setTimeout`, `node:fs` and `node:net` everywhere else.
 */
export interface Clock {
  /** Wall clock, integer microseconds since 1970. May jump; never use it for durations. */
  nowUs(): number
  /** Monotonic milliseconds with a fraction, from an arbitrary origin. */
  monotonicMs(): number
  /**
   * Calls back once after `delayMs`. The returned function cancels; the timer keeps no process
   * alive.
   */
  after(delayMs: number, callback: () => void): () => void
  /** Calls back once the input that is ready now has been read. */
  soon(callback: () => void): void
  /** Calls back every `intervalMs` until the returned function is called. */
  every(intervalMs: number, callback: () => void): () => void
}

export interface Random {
  /** Cryptographically strong bytes (in the real world; seeded in a simulated one). */
  bytes(count: number): Uint8Array
  /** Uniform in [0, 1). Never for secrets. */
  unit(): number
}

/** One open file. Positions and lengths are bytes. Short writes never happen: they throw. */
export interface DiskFile {
  write(data: Uint8Array, position: number): Promise<void>
  /** Returns the count of bytes read; fewer than asked only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>
  /** `fdatasync`: what was written survives a power cut once this resolves. */
  sync(): Promise<void>
  /**
   * Grows the file to `bytes` of zeroes and allocates its blocks, so later syncs move only data.
   */
  allocate(bytes: number): Promise<void>
  truncate(bytes: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

export interface Disk {
  /** `create` makes the file when absent (never truncates); the folder still needs `syncFolder`. */
  open(path: string, mode: 'read' | 'write' | 'create'): Promise<DiskFile>
  list(folder: string): Promise<string[]>
  exists(path: string): Promise<boolean>
  makeFolder(path: string): Promise<void>
  /** `fsync` of the folder: creations, renames and removals in it survive a power cut. */
  syncFolder(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  freeBytes(path: string): Promise<number>
}

/** One accepted connection. */
export interface Socket {
  readonly remoteAddress: string
  /** Bytes written and not yet taken by the kernel. */
  readonly bufferedBytes: number
  write(bytes: Uint8Array): void
  /** Sends what is buffered, then closes. */
  end(): void
  destroy(): void
  pause(): void
  resume(): void
}

export interface SocketHandler {
  /** The bytes are the handler's until it returns, then they may be overwritten. */
  data(bytes: Uint8Array): void
  closed(): void
}

export interface Listener {
  readonly port: number
  close(): Promise<void>
}

export interface ListenOptions {
  host: string
  /** 0: any free one. */
  port: number
  /** Connections at once; the next one is closed. */
  connectionsMax: number
  /** Asked before anything is made for a connection; it is reset when this says no. */
  admits?: (remoteAddress: string) => boolean
  /** Told of each connection that was one too many. */
  dropped?: () => void
}

export interface Network {
  /** Throws PORT_IN_USE. */
  listen(options: ListenOptions, accept: (socket: Socket) => SocketHandler): Promise<Listener>
}

export interface World {
  clock: Clock
  random: Random
  disk: Disk
  network: Network
}
