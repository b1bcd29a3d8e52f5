/**
 * What is wrong with a document a person wrote: all of it at once, each problem with its place,
 * what was found, what is expected, and the nearest known key for a typo.
 */
export type Path = readonly (string | number)[]

export interface Problem {
  /** Keys and list indexes from the document's root. */
  path: Path
  /** Says what was found and what is expected; the place is put before it. */
  message: string
  /** Set when the key at `path` is not known at all. */
  isUnknownKey?: true
}

/** Where a document came from. */
export interface Source {
  /** File name, or what else the reader knows it by. */
  name: string
  /** Where the key at `path` stands, or its nearest parent that exists. */
  placeOf(path: Path): Place | undefined
}

/** Both from 1. */
export interface Place {
  line: number
  column: number
}

/** `['rules', 0, 'when']` → `rules[0].when`. */
export function formatPath(path: Path): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else text += text === '' ? part : `.${part}`
  }
  return text
}

/**
 * One line a problem, in the document's order:
 * `weir.yaml:3:5 http.port: found "x", expected a whole number from 0 to 65,535`.
 */
export function formatProblems(problems: readonly Problem[], source: Source): string {
  const lines = problems
    .map((problem) => ({ ...problem, place: source.placeOf(problem.path) }))
    .toSorted((a, b) => comparePlaces(a.place, b.place))
    .map(({ path, message, place }) => {
      const where = place === undefined ? '' : `:${place.line}:${place.column}`
      const key = path.length === 0 ? '' : `${formatPath(path)}: `
      return `${source.name}${where} ${key}${message}`
    })
  return lines.length === 1 ? lines[0]! : `${lines.length} problems:\n${lines.join('\n')}`
}

function comparePlaces(a: Place | undefined, b: Place | undefined): number {
  if (a === undefined || b === undefined) return 0
  return a.line - b.line || a.column - b.column
}

/** The value as a person wrote it, cut at 60 characters. */
export function formatFound(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

/** `; did you mean "unit"?`, or, when nothing is near, `; known are a, b, c`. */
export function suggest(word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  if (near !== undefined) return `; did you mean "${near}"?`
  if (known.length === 0) return ''
  const shown = known.slice(0, 20).join(', ')
  return `; known are ${shown}${known.length > 20 ? ', …' : ''}`
}

/** The known word with the fewest edits to `word`, when they are few enough to be a typo. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const lower = word.toLowerCase()
  let best: string | undefined
  let bestEdits = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    const edits = editDistance(lower, candidate.toLowerCase())
    if (edits < bestEdits) [best, bestEdits] = [candidate, edits]
  }
  return best
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      let edits = Math.min(last[j]! + 1, current[j - 1]! + 1, substitution)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwap) edits = Math.min(edits, beforeLast[j - 2]! + 1)
      current.push(edits)
    }
    beforeLast = last
    last = current
  }
  return last[b.length]!
}
