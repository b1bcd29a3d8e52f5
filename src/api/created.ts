/** A definition that came without an id. */
import { createHash } from 'node:crypto'
import type { Book, Kept } from '../alerts/alerts.ts'
import { WeirError } from '../errors/errors.ts'

/**
 * Its id is made of what it says and when, which needs no chance; of two that say the same at the
 * same moment the second gets the next one. Errors: those of Book.put().
 */
export async function create<T>(
  book: Book<T>,
  { tenant, value, nowUs }: { tenant: string; value: T; nowUs: number },
): Promise<Kept<T>> {
  for (let count = 0; ; count++) {
    const text = JSON.stringify([value, nowUs, count])
    const id = createHash('sha256').update(text).digest('hex').slice(0, 16)
    try {
      return await book.put(tenant, id, value, 0)
    } catch (error) {
      if (!(error instanceof WeirError) || error.code !== 'CONTROL_REVISION_STALE') throw error
    }
  }
}
