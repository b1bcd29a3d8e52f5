/** For tests: what a bucket’s lifecycle does with objects, by a clock of the test’s own. */
import { WeirError } from '../errors/errors.ts'
import type { ArchivedState, ArchiveRule, Objects } from '../objects/objects.ts'
import { DAY_US } from './aging-fixture.ts'

/** How long a restore takes. */
const THAW_US = DAY_US / 2

/** `inner` with an archive, whose one rule is kept to the day. */
export function withLifecycle(inner: Objects, now: { us: number }): Objects {
  const putUs = new Map<string, number>()
  const restored = new Map<string, { fromUs: number; untilUs: number }>()
  let rule: ArchiveRule | undefined
  const daysOf = (key: string): number => (now.us - (putUs.get(key) ?? now.us)) / DAY_US
  const stateOf = (key: string): ArchivedState => {
    if (daysOf(key) < (rule?.freeze?.afterDays ?? Infinity)) return 'readable'
    const back = restored.get(key)
    if (back === undefined || now.us >= back.untilUs) return 'frozen'
    return now.us < back.fromUs ? 'thawing' : 'readable'
  }
  const expire = async (): Promise<void> => {
    const isOver = (key: string): boolean => daysOf(key) >= (rule?.expireAfterDays ?? Infinity)
    for (const key of [...putUs.keys()].filter(isOver)) {
      putUs.delete(key)
      await inner.delete(key)
    }
  }
  return {
    async put(key, bytes, how) {
      await inner.put(key, bytes, how)
      putUs.set(key, now.us)
    },
    async get(key, range) {
      await expire()
      if (stateOf(key) !== 'readable') throw new WeirError('OBJECT_FROZEN', key)
      return inner.get(key, range)
    },
    head: (key) => expire().then(() => inner.head(key)),
    list: (prefix, page) => expire().then(() => inner.list(prefix, page)),
    delete: (key) => inner.delete(key),
    close: () => inner.close(),
    archive: {
      rule: async () => rule,
      setRule: async (_, wanted) => void (rule = wanted),
      stateOf: async (key) => ((await inner.head(key)) === undefined ? undefined : stateOf(key)),
      async restore(key, days) {
        if (stateOf(key) !== 'frozen') return
        const fromUs = now.us + THAW_US
        restored.set(key, { fromUs, untilUs: fromUs + days * DAY_US })
      },
    },
  }
}
