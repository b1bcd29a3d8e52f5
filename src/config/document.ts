/** Reads YAML (and so JSON) with the place of every key, so that a problem can name its line. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml'
import type { Path, Place, Problem, Source } from './problems.ts'

export interface ReadDocument {
  /** Plain data; an empty document is an empty map. */
  value: unknown
  source: Source
  /** Syntax errors; `value` is then of no use. */
  problems: Problem[]
}

/** A document that never was text, such as an object passed to `compilePipeline`. */
export function sourceWithoutText(name: string): Source {
  return { name, placeOf: () => undefined }
}

export function readDocument(text: string, name: string): ReadDocument {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false })
  const place = (offset: number): Place => {
    const { line, col } = lineCounter.linePos(offset)
    return { line, column: col }
  }
  if (document.errors.length > 0) {
    const problems = document.errors.map(({ message, pos }) => {
      const { line, column } = place(pos[0])
      return { path: [], message: `is not valid YAML at ${line}:${column}: ${message}` }
    })
    return { value: undefined, source: sourceWithoutText(name), problems }
  }
  const source: Source = {
    name,
    placeOf(path) {
      const offset = offsetOf(document, path)
      return offset === undefined ? undefined : place(offset)
    },
  }
  try {
    return { value: document.toJS() ?? {}, source, problems: [] }
  } catch (error) {
    // The parser refuses documents whose aliases multiply (the "billion laughs").
    const message = error instanceof Error ? error.message : String(error)
    return { value: undefined, source, problems: [{ path: [], message }] }
  }
}

/** Offset of the key (in a map) or item (in a list) at `path`, else of the nearest parent. */
function offsetOf(document: Document.Parsed, path: Path): number | undefined {
  let node: unknown = document.contents
  let offset = document.contents?.range?.[0]
  for (const part of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part))
      if (pair === undefined || !isScalar(pair.key)) return offset
      offset = pair.key.range?.[0] ?? offset
      node = pair.value
    } else if (isSeq(node) && typeof part === 'number') {
      node = node.items[part]
      const range = (node as { range?: [number, number, number] } | undefined)?.range
      offset = range?.[0] ?? offset
    } else {
      return offset
    }
  }
  return offset
}
