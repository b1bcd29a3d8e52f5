/** Files with one message a line: InfluxDB line protocol and newline-delimited JSON. */
import { WeirError } from '../errors/errors.ts'
import type { ReplayItem } from './replay-item.ts'

/** The server takes no larger body; whatever is longer is not a file of lines. */
const LINE_CHARACTERS_MAX = 8 << 20

/** Cuts text that arrives in pieces into lines, without their ends. */
class LineCutter {
  /** Throws TELEMETRY_SHAPE_INVALID when a line does not end. */
  #rest = ''
  #count = 0

  push(text: string): { text: string; line: number }[] {
    const pieces = (this.#rest + text).split('\n')
    this.#rest = pieces.pop() ?? ''
    if (this.#rest.length > LINE_CHARACTERS_MAX)
      throw new WeirError('TELEMETRY_SHAPE_INVALID', 'a line of the file never ends')
    return pieces.map((piece) => this.#numbered(piece))
  }

  end(): { text: string; line: number }[] {
    return this.#rest === '' ? [] : [this.#numbered(this.#rest)]
  }

  #numbered(piece: string): { text: string; line: number } {
    return { text: piece.endsWith('\r') ? piece.slice(0, -1) : piece, line: ++this.#count }
  }
}

/** Newline-delimited JSON: each line is a message that names its device. */
export class NdjsonMessages {
  readonly #lines = new LineCutter()

  push(text: string): ReplayItem[] {
    return this.#lines.push(text).flatMap(ndjsonItem)
  }

  end(): ReplayItem[] {
    return this.#lines.end().flatMap(ndjsonItem)
  }
}

/** Parsed here too: one broken line would make the whole batch unreadable to the server. */
function ndjsonItem({ text, line }: { text: string; line: number }): ReplayItem[] {
  if (text.trim() === '') return []
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    return [{ kind: 'refusal', line, code: 'TELEMETRY_JSON_INVALID', detail }]
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    const detail = 'a line is one object'
    return [{ kind: 'refusal', line, code: 'TELEMETRY_SHAPE_INVALID', detail }]
  }
  const fields = message as Record<string, unknown>
  const metrics = typeof fields['metrics'] === 'object' ? (fields['metrics'] ?? {}) : flat(fields)
  const deviceId = typeof fields['device'] === 'string' ? fields['device'] : ''
  return [{ kind: 'message', line, deviceId, readings: Object.keys(metrics).length, text }]
}

const ENVELOPE = ['ts', 'id', 'schema', 'tags', 'device']

const flat = (fields: Record<string, unknown>): object =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !ENVELOPE.includes(name)))

/** InfluxDB line protocol; only scanned for its device and its fields, the server parses it. */
export class LineProtocolMessages {
  readonly #lines = new LineCutter()
  readonly #deviceTags: readonly string[]

  constructor(deviceTags: readonly string[] = DEVICE_TAGS) {
    this.#deviceTags = deviceTags
  }

  push(text: string): ReplayItem[] {
    return this.#lines.push(text).flatMap((line) => this.#item(line))
  }

  end(): ReplayItem[] {
    return this.#lines.end().flatMap((line) => this.#item(line))
  }

  #item({ text, line }: { text: string; line: number }): ReplayItem[] {
    if (text.trim() === '' || text.startsWith('#')) return []
    const { deviceId, readings } = scanLine(text, this.#deviceTags)
    return [{ kind: 'message', line, deviceId, readings, text }]
  }
}

/** The server's default order. */
const DEVICE_TAGS = ['device_id', 'host', 'name', 'device']

/** Device and count of fields of `measurement,tag=value field=1,other="a b" 1700000000`. */
export function scanLine(
  text: string,
  deviceTags: readonly string[] = DEVICE_TAGS,
): { deviceId: string; readings: number } {
  const keyEnd = findOutside(text, ' ', 0)
  const fieldsEnd = findOutside(text, ' ', keyEnd + 1)
  const tags = new Map<string, string>()
  for (const pair of splitOutside(text.slice(0, keyEnd), ',').slice(1)) {
    const equals = findOutside(pair, '=', 0)
    if (equals < pair.length - 1)
      tags.set(plain(pair.slice(0, equals)), plain(pair.slice(equals + 1)))
  }
  const tag = deviceTags.find((name) => tags.has(name))
  const fields = splitOutside(text.slice(keyEnd + 1, fieldsEnd), ',').filter((pair) => pair !== '')
  return { deviceId: tag === undefined ? '' : (tags.get(tag) ?? ''), readings: fields.length }
}

/** A backslash makes the next comma, space, equals sign or backslash an ordinary character. */
const plain = (text: string): string => text.replace(/\\([,= \\])/g, '$1')

/**
 * Position of `wanted` outside quotes and not behind a backslash; the length when there is none.
 */
function findOutside(text: string, wanted: string, from: number): number {
  let isQuoted = false
  for (let i = from; i < text.length; i++) {
    const character = text[i]
    if (character === '\\') i++
    else if (character === '"') isQuoted = !isQuoted
    else if (character === wanted && !isQuoted) return i
  }
  return text.length
}

function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = []
  for (let from = 0; from <= text.length;) {
    const end = findOutside(text, separator, from)
    parts.push(text.slice(from, end))
    from = end + 1
  }
  return parts
}
