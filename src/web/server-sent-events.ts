/**
 * The text/event-stream format (HTML standard, 9.2.6): lines `event:`, `data:`, comments that begin
 * with a colon; an empty line ends an event. We read it from `fetch` and not with EventSource,
 * since that one hides the status of a refusal and the comments that prove the line is alive.
 */
export interface ServerSentEvent {
  event: string
  data: string
}

/** The server's events are well below 64 KB; more is not an event stream. */
const BUFFER_CHARACTERS_MAX = 1 << 20

export class EventStreamParser {
  #rest = ''
  #event = ''
  #data: string[] = []

  /** Takes the next characters, cut anywhere; returns the events that they complete. */
  push(text: string): ServerSentEvent[] {
    const found: ServerSentEvent[] = []
    this.#rest += text
    if (this.#rest.length > BUFFER_CHARACTERS_MAX) throw new RangeError('the event is too long')
    // A CR at the end may be half of a CRLF: it waits for what follows.
    const end = this.#rest.endsWith('\r') ? this.#rest.length - 1 : this.#rest.length
    const lines = this.#rest.slice(0, end).split(/\r\n|\n|\r/)
    this.#rest = (lines.pop() ?? '') + this.#rest.slice(end)
    for (const line of lines) {
      const event = this.#line(line)
      if (event !== undefined) found.push(event)
    }
    return found
  }

  #line(line: string): ServerSentEvent | undefined {
    if (line === '') return this.#dispatch()
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'event') this.#event = value
    else if (field === 'data') this.#data.push(value)
    return undefined
  }

  #dispatch(): ServerSentEvent | undefined {
    const event = { event: this.#event || 'message', data: this.#data.join('\n') }
    const isEmpty = this.#data.length === 0
    this.#event = ''
    this.#data = []
    return isEmpty ? undefined : event
  }
}
