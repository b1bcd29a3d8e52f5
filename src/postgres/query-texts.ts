/** Texts of one question: columns hold numbers, so each text has an id for as long as it lasts. */
import { WeirError } from '../errors/errors.ts'

const BYTES_MAX = 64 << 20

export class QuestionTexts {
  readonly #texts: string[] = []
  readonly #ids = new Map<string, number>()
  #bytes = 0

  /** Errors: QUERY_LIMIT_EXCEEDED. */
  idOf(text: string): number {
    const known = this.#ids.get(text)
    if (known !== undefined) return known
    this.#bytes += Buffer.byteLength(text)
    if (this.#bytes > BYTES_MAX) {
      const detail = `The query looks at more than ${BYTES_MAX >> 20} MiB of different texts`
      throw new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: BYTES_MAX } })
    }
    const id = this.#texts.push(text) - 1
    this.#ids.set(text, id)
    return id
  }

  text(id: number): string {
    return this.#texts[id] ?? ''
  }
}
