/**
 * Texts as numbers, for the programs of rules: those of the log's dictionary where it has them,
 * else negative ones of our own, so that equal texts are equal and no others are.
 */
export class Texts {
  readonly #numbers = new Map<string, number>()
  /** -1 means something to programs. */
  #next = -2

  /** The dictionary has the text; true when it was known by a number of our own. */
  define(id: number, text: string): boolean {
    const known = this.#numbers.get(text)
    this.#numbers.set(text, id)
    return known !== undefined && known < 0
  }

  numberOf(text: string): number {
    let number = this.#numbers.get(text)
    if (number === undefined) this.#numbers.set(text, (number = this.#next--))
    return number
  }
}
