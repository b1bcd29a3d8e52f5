/**
 * Equal questions that are under way at once ask once; a failure is told to all of them. Who goes
 * away ends nothing as long as another one waits.
 */
interface Flight<Mark> {
  mark: Mark
  answer: Promise<unknown>
  /** Without a signal one waits for ever. */
  waiting: number
  ending: AbortController
}

export interface Asked<Mark, A> {
  /** Of the answer that is begun now. */
  mark: Mark
  /** Whether an answer that was begun with this mark is as good. */
  mayJoin: (mark: Mark) => boolean
  start: (signal: AbortSignal) => Promise<A>
  signal: AbortSignal | undefined
}

export class Flights<Mark> {
  readonly #flights = new Map<string, Flight<Mark>>()

  /** The key says which kind of answer it is. Errors: those of `start`, the signal's reason. */
  async ask<A>(key: string, asked: Asked<Mark, A>): Promise<A> {
    const { signal } = asked
    const flight = this.#known(key, asked.mayJoin) ?? this.#begin(key, asked)
    flight.waiting++
    const gone = Promise.withResolvers<never>()
    const leave = (): void => {
      gone.reject(signal?.reason)
      flight.waiting--
      if (flight.waiting === 0) flight.ending.abort(signal?.reason)
    }
    if (signal?.aborted === true) leave()
    else signal?.addEventListener('abort', leave)
    try {
      return await Promise.race([flight.answer as Promise<A>, gone.promise])
    } finally {
      signal?.removeEventListener('abort', leave)
    }
  }

  #known(key: string, mayJoin: (mark: Mark) => boolean): Flight<Mark> | undefined {
    const known = this.#flights.get(key)
    if (known === undefined || known.ending.signal.aborted) return undefined
    return mayJoin(known.mark) ? known : undefined
  }

  #begin<A>(key: string, { mark, start }: Asked<Mark, A>): Flight<Mark> {
    const ending = new AbortController()
    const answer = start(ending.signal).finally(() => {
      if (this.#flights.get(key)?.answer === answer) this.#flights.delete(key)
    })
    const flight = { mark, answer, waiting: 0, ending }
    this.#flights.set(key, flight)
    return flight
  }
}
