/** Things that are lent to one user each; who finds none waits, in order. */
export class Lane<T> {
  readonly #free: T[]
  readonly #waiting: ((thing: T) => void)[] = []

  constructor(things: readonly T[]) {
    this.#free = [...things]
  }

  async use<R>(work: (thing: T) => Promise<R>): Promise<R> {
    const thing = this.#free.pop() ?? (await this.#wait())
    try {
      return await work(thing)
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free.push(thing)
      else next(thing)
    }
  }

  #wait(): Promise<T> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}
