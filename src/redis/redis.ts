/**
 * One connection to Redis (6 or later), for things that may be missing: what is cached, what is
 * told live. It never throws, never queues, and answers or gives up in time.
 *
 * Away: the connection is made again by itself, with a pause that doubles up to 2 s. Meanwhile a
 * command is not sent at all, so nothing old arrives when it is back.
 * Hanging: Redis answers in order. So when the oldest command has waited for longer than the
 * time-out, a further one would wait behind it, and is not sent. A socket on which nothing moves
 * for SILENCE_MAX_MS is given up, and the connection made again; a ping a second moves it.
 * Full: what is under way is limited in commands and bytes; beyond that nothing is sent.
 */
import { createClient, RESP_TYPES } from '@redis/client'
import { WeirError } from '../errors/errors.ts'
import type { World } from '../world/world.ts'

const CONNECT_TIMEOUT_MS = 2000
const PING_INTERVAL_MS = 1000
const SILENCE_MAX_MS = 3000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2000
const COMMANDS_MAX = 10_000
const BYTES_MAX = 16 * 1024 * 1024

/** `CLIENT LIST` of Redis shows it. */
const CLIENT_NAME = 'weir'

export interface RedisAccess {
  /** `redis://user:password@host:port/database`; `rediss:` for TLS. */
  url: string
  /** Stands before every key and channel, so that installations can share one Redis. */
  prefix: string
}

export type RedisReply = Buffer | string | number | null

export type RedisListener = (message: string, channel: string) => void

/** Replies have bytes as a Buffer, and short states ("OK") as text. */
const BYTES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } }

export interface RedisConnectionOptions {
  url: string
  /** Longest wait for the reply to a command. */
  timeoutMs: number
  world: Pick<World, 'clock' | 'random'>
}

export class RedisConnection {
  readonly #client: ReturnType<typeof createRedisClient>
  readonly #options: RedisConnectionOptions
  readonly #password: string
  /** When the commands under way were sent, oldest first. */
  readonly #sentMs: number[] = []
  #bytesUnderWay = 0
  #problem: string | undefined = 'not connected yet'
  #isClosed = false

  /**
   * Returns at once and connects behind that. Throws CONFIG_VALUE_INVALID when `url` is none.
   */
  constructor(options: RedisConnectionOptions) {
    this.#options = options
    this.#password = passwordOf(options.url)
    this.#client = createRedisClient(options)
    this.#client.on('error', (error) => (this.#problem = this.#messageOf(error)))
    this.#client.on('ready', () => (this.#problem = undefined))
    // It tries for ever; only close() ends it.
    this.#client.connect().catch(() => undefined)
  }

  /** Why nothing is answered now, for people; never holds the password. */
  get problem(): string | undefined {
    return this.#problem ?? (this.#isHanging() ? 'does not answer' : undefined)
  }

  /** Called whenever the connection is made. */
  onReady(callback: () => void): void {
    this.#client.on('ready', callback)
  }

  /**
   * The reply; undefined when none came in time, or the command was not sent, or was refused. It
   * may have been carried out all the same.
   */
  async command(
    name: string,
    parameters: readonly (string | Buffer)[],
  ): Promise<RedisReply | undefined> {
    const bytes = parameters.reduce((sum, one) => sum + one.length, name.length)
    if (!this.#hasRoom(bytes)) return undefined
    const { clock } = this.#options.world
    this.#sentMs.push(clock.monotonicMs())
    this.#bytesUnderWay += bytes
    const reply = this.#client.sendCommand<RedisReply>([name, ...parameters], BYTES).then(
      (reply) => reply,
      () => undefined,
    )
    void reply.then(() => {
      this.#sentMs.shift()
      this.#bytesUnderWay -= bytes
    })
    let cancel = (): void => {}
    const late = new Promise<undefined>((resolve) => {
      cancel = clock.after(this.#options.timeoutMs, () => resolve(undefined))
    })
    return Promise.race([reply, late]).finally(() => cancel())
  }

  /**
   * Hears a channel from some moment on, and again after each reconnection. Undone when the
   * connection is away: say it again in onReady(), as often as you like.
   */
  subscribe(channel: string, listener: RedisListener): void {
    if (this.#client.isReady) void this.#client.subscribe(channel, listener).catch(() => undefined)
  }

  /** The same holds. */
  unsubscribe(channel: string, listener: RedisListener): void {
    if (this.#client.isReady)
      void this.#client.unsubscribe(channel, listener).catch(() => undefined)
  }

  /** May be called again. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#problem = 'closed'
    this.#client.destroy()
  }

  #hasRoom(bytes: number): boolean {
    if (!this.#client.isReady || this.#isHanging()) return false
    return this.#sentMs.length < COMMANDS_MAX && this.#bytesUnderWay + bytes <= BYTES_MAX
  }

  #isHanging(): boolean {
    const { timeoutMs, world } = this.#options
    const [oldestMs = Infinity] = this.#sentMs
    return world.clock.monotonicMs() - oldestMs > timeoutMs
  }

  #messageOf(error: unknown): string {
    const { message, code } = error as { message?: string; code?: string }
    const text = message === undefined || message === '' ? String(code) : message
    return this.#password === '' ? text : text.replaceAll(this.#password, '***')
  }
}

/** Throws CONFIG_VALUE_INVALID, without the URL, which may hold a password. */
function passwordOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || !['redis:', 'rediss:'].includes(parsed.protocol)) {
    throw new WeirError(
      'CONFIG_VALUE_INVALID',
      'Redis: the address is not like redis://user:password@host:port',
    )
  }
  return decodeURIComponent(parsed.password)
}

const createRedisClient = ({ url, world }: RedisConnectionOptions) =>
  createClient({
    url,
    name: CLIENT_NAME,
    RESP: 3,
    disableOfflineQueue: true,
    pingInterval: PING_INTERVAL_MS,
    maintNotifications: 'disabled',
    // The time-out is our own: the client's ends only what it has not sent yet.
    commandOptions: { timeout: 0 },
    socket: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SILENCE_MAX_MS,
      // Half of the pause is by chance, so that a hundred processes do not come back as one.
      reconnectStrategy: (tries) =>
        Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries) * (0.5 + world.random.unit() / 2),
    },
  })
