/** What people defined, of one tenant, read as of now: another process may have changed it. */
import type { Book, Kept, Recipient, Silence } from './alerts.ts'
import type { Directory } from './recipients.ts'

const PAGE = 1000

export async function readDirectory(
  tenant: string,
  books: { recipients: Book<Recipient>; silences: Book<Silence> },
): Promise<Directory> {
  const [recipients, silences] = await Promise.all([
    readAll(books.recipients, tenant),
    readAll(books.silences, tenant),
  ])
  return { recipients: new Map(recipients.map(({ id, value }) => [id, value])), silences }
}

async function readAll<T>(book: Book<T>, tenant: string): Promise<Kept<T>[]> {
  const all: Kept<T>[] = []
  for (;;) {
    const after = all.at(-1)?.id
    const limit = PAGE
    const page = await book.list(tenant, after === undefined ? { limit } : { after, limit })
    all.push(...page)
    if (page.length < PAGE) return all
  }
}
