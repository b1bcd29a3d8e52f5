/**
 * The live connection: server-sent events that come back by themselves.
 *
 * W1 After any end (refused, cut, silent for SILENCE_MS) it connects again, with a delay that
 *    doubles from 0.5 s to 15 s and is spread by chance, so that a restarted server is not stormed.
 * W2 Each opening is announced, so that every part can fetch what it may have missed.
 * W3 Following other devices opens the new connection before it leaves the old one: a move misses
 *    nothing of what was followed already, and says that it is one.
 * W4 A 401 ends it for good: the person has to sign in again. After a 404 it follows no device,
 *    since one of them is gone; the opening that comes then lets the page find out which.
 */
import type { LiveEvent } from '../api/api.ts'
import { RequestError, type Api } from './api.ts'
import type { PageWorld } from './browser-world.ts'
import { EventStreamParser } from './server-sent-events.ts'

export type LiveState =
  | { name: 'connecting' }
  | { name: 'open' }
  | { name: 'waiting'; retryAtMs: number }
  | { name: 'closed' }

export interface LiveListener {
  onEvent(event: LiveEvent): void
  onOpen(opening: { isMove: boolean }): void
  onState(state: LiveState): void
}

const DELAY_MS_MIN = 500
const DELAY_MS_MAX = 15_000
/** The server sends a rate each second, so twenty silent ones are a dead line. */
const SILENCE_MS = 20_000

export class LiveConnection {
  readonly #api: Pick<Api, 'live'>
  readonly #world: PageWorld
  readonly #listener: LiveListener
  #deviceIds: readonly string[] = []
  #attempt = 0
  #state: LiveState = { name: 'closed' }
  #current: AbortController | undefined
  #cancelRetry: () => void = () => {}

  constructor(api: Pick<Api, 'live'>, world: PageWorld, listener: LiveListener) {
    this.#api = api
    this.#world = world
    this.#listener = listener
  }

  /** Opens the connection, or moves it to these devices' readings. */
  follow(deviceIds: readonly string[]): void {
    const wanted = [...new Set(deviceIds)].sort()
    const isSame = wanted.join('\n') === this.#deviceIds.join('\n')
    if (isSame && this.#state.name !== 'closed') return
    this.#deviceIds = wanted
    void this.#connect()
  }

  /** Does not wait for the delay: the network is back, or the person asks. */
  retryNow(): void {
    if (this.#state.name === 'waiting') void this.#connect()
  }

  close(): void {
    this.#cancelRetry()
    this.#current?.abort()
    this.#current = undefined
    this.#setState({ name: 'closed' })
  }

  async #connect(): Promise<void> {
    this.#cancelRetry()
    const previous = this.#current
    const mine = new AbortController()
    this.#current = mine
    const isMove = this.#state.name === 'open'
    if (!isMove) this.#setState({ name: 'connecting' })
    const silence = this.#watchSilence(mine)
    try {
      const response = await this.#api.live(this.#deviceIds, mine.signal).finally(() => {
        previous?.abort()
      })
      if (this.#current !== mine) return
      silence.heard()
      if (!isMove) this.#setState({ name: 'open' })
      this.#tell(() => this.#listener.onOpen({ isMove }))
      await this.#read(response, silence.heard)
    } catch (error) {
      const status = error instanceof RequestError ? error.status : 0
      if (status === 401) return this.close()
      if (status === 404) this.#deviceIds = []
    } finally {
      silence.stop()
      mine.abort()
      if (this.#current === mine) this.#retryLater()
    }
  }

  async #read(response: Response, heard: () => void): Promise<void> {
    if (response.body === null) return
    const parser = new EventStreamParser()
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      heard()
      for (const { event, data } of parser.push(value)) {
        // Only what has worked once resets the delay: a server that accepts and hangs up is not
        // well.
        this.#attempt = 0
        const parsed = { event, data: JSON.parse(data) } as LiveEvent
        this.#tell(() => this.#listener.onEvent(parsed))
      }
    }
  }

  /** Outside of the connection's own error handling: a listener's bug must show, not reconnect. */
  #tell(call: () => void): void {
    queueMicrotask(call)
  }

  #watchSilence(connection: AbortController): { heard: () => void; stop: () => void } {
    const { clock } = this.#world
    const abort = (): void => connection.abort()
    let cancel = clock.after(SILENCE_MS, abort)
    const stop = (): void => cancel()
    const heard = (): void => {
      cancel()
      cancel = clock.after(SILENCE_MS, abort)
    }
    return { heard, stop }
  }

  #retryLater(): void {
    this.#current = undefined
    const ceilingMs = Math.min(DELAY_MS_MAX, DELAY_MS_MIN * 2 ** Math.min(this.#attempt, 10))
    const delayMs = ceilingMs * (0.5 + this.#world.random.unit() / 2)
    this.#attempt += 1
    this.#setState({ name: 'waiting', retryAtMs: this.#world.clock.monotonicMs() + delayMs })
    this.#cancelRetry = this.#world.clock.after(delayMs, () => void this.#connect())
  }

  #setState(state: LiveState): void {
    this.#state = state
    this.#listener.onState(state)
  }
}
