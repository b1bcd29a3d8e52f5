/**
 * `postgres.stores`: which PostgreSQL keeps which devices, as `FROM-TO=postgresql://…`. FROM and TO
 * are unsigned device hashes, both included, decimal or hex. Together the stores have every hash
 * once: a hash that is nobody's would be a device without a place.
 */
export interface Store {
  from: number
  to: number
  url: string
}

export const HASH_MAX = 0xffff_ffff

const NUMBER = '(0x[0-9a-f]{1,8}|[0-9]{1,10})'
const STORE = new RegExp(`^${NUMBER}-${NUMBER}=(postgres(?:ql)?://.+)$`, 'i')

/** A range as it is written; the address, which holds a password, is never shown. */
export const formatRange = ({ from, to }: Pick<Store, 'from' | 'to'>): string =>
  `0x${from.toString(16)}-0x${to.toString(16)}`

/** In the order of their ranges, or what is wrong. None is fine: then there is `postgres.url`. */
export function parseStores(texts: readonly string[]): Store[] | { problem: string } {
  const stores: Store[] = []
  for (const [at, text] of texts.entries()) {
    const [, from = '', to = '', url = ''] = STORE.exec(text) ?? []
    if (url === '') {
      return { problem: `the text at ${at + 1} is wrong, expected FROM-TO=postgresql://…` }
    }
    stores.push({ from: Number(from), to: Number(to), url })
  }
  stores.sort((a, b) => a.from - b.from)
  const problem = stores.length === 0 ? undefined : problemOf(stores)
  return problem === undefined ? stores : { problem }
}

function problemOf(stores: readonly Store[]): string | undefined {
  const places = new Set<string>()
  let next = 0
  for (const { from, to, url } of stores) {
    const range = formatRange({ from, to })
    if (from > to || to > HASH_MAX) return `${range} is no range, expected 0 to 0xffffffff`
    if (from > next) return gap(next, from - 1)
    if (from < next) return `${range} begins in the range before it, which ends at ${hex(next - 1)}`
    if (places.has(url)) return `${range} has the address of another store`
    places.add(url)
    next = to + 1
  }
  return next > HASH_MAX ? undefined : gap(next, HASH_MAX)
}

const hex = (hash: number): string => `0x${hash.toString(16)}`
const gap = (from: number, to: number): string => `no store has ${formatRange({ from, to })}`
