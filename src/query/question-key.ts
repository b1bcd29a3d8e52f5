/** What tells questions apart, for those who keep answers. */
import type { GroupsQuestion, ReadingsQuestion, WindowsQuestion } from './query.ts'

/** All that is asked, the tenant first. JSON keeps apart what is apart. */
export const questionKey = (
  kind: string,
  { tenant, ...question }: ReadingsQuestion | WindowsQuestion | GroupsQuestion,
): string => JSON.stringify([tenant, kind, question], inOrderOfNames)

/** Whoever names the same in another order asks the same. */
function inOrderOfNames(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const entries: [string, unknown][] = value instanceof Map ? [...value] : Object.entries(value)
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
