/** The sink over HTTP, by Node's own `fetch`. */
import { LineEncoder, type Line } from './line-encoder.ts'
import { REFUSALS_MAX } from './line-sink.ts'
import type { LineSink, LineSinkOptions, SinkBatch, SinkReport } from './line-sink.ts'
import { QuestTables } from './questdb-tables.ts'
import { Requests } from './requests.ts'
import { targetOf, type Target } from './targets.ts'

const REQUEST_BYTES = { default: 1 << 20, min: 1 << 16, max: 1 << 24 }
const REQUEST_TIMEOUT_MS = 30_000
const RETRY_FOR_MS = 60_000
const SHOWN_LENGTH_MAX = 200

/** Asks nothing of the target yet. Errors: CONFIG_VALUE_INVALID. */
export function openLineSink(options: LineSinkOptions): LineSink {
  return new HttpLineSink(options)
}

class HttpLineSink implements LineSink {
  readonly #target: Target
  readonly #encoder: LineEncoder
  readonly #requests: Requests
  readonly #tables: QuestTables | undefined
  readonly #bytesMax: number
  /** Writes wait for the one before them: the last one wins, so the order counts. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: LineSinkOptions) {
    const { clock, random } = options
    const target = targetOf(options)
    this.#target = target
    this.#encoder = new LineEncoder(target.dialect)
    this.#requests = new Requests({
      ...{ clock, random, headers: target.headers, secrets: target.secrets },
      isGzipped: options.isGzipped ?? false,
      timeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
      retryForMs: options.retryForMs ?? RETRY_FOR_MS,
    })
    if (options.kind === 'questdb') {
      this.#tables = new QuestTables({ requests: this.#requests, url: target.sqlUrl, clock })
    }
    const { min, max } = REQUEST_BYTES
    const bytes = options.requestBytesMax ?? REQUEST_BYTES.default
    this.#bytesMax = Math.min(max, Math.max(min, bytes))
  }

  write(batch: SinkBatch): Promise<SinkReport> {
    const done = this.#last.then(() => this.#write(batch))
    this.#last = done.catch(() => undefined)
    return done
  }

  async #write(batch: SinkBatch): Promise<SinkReport> {
    const report: SinkReport = { written: 0, refused: 0, unsupported: 0, refusals: [] }
    let lines: Line[] = []
    let bytes = 0
    for (const line of this.#encoder.encode(batch)) {
      const refusal = line.refusal ?? (await this.#tables?.prepare(line.table))
      if (refusal !== undefined) {
        this.#refuse(report, line, refusal)
        continue
      }
      const lineBytes = Buffer.byteLength(line.text) + 1
      if (bytes + lineBytes > this.#bytesMax && lines.length > 0) {
        await this.#deliver(lines, report)
        lines = []
        bytes = 0
      }
      lines.push(line)
      bytes += lineBytes
    }
    if (lines.length > 0) await this.#deliver(lines, report)
    report.unsupported = batch.count - report.written - report.refused
    return report
  }

  /** Halves what is refused: parts only become smaller, and a single line ends it. */
  async #deliver(all: Line[], report: SinkReport): Promise<void> {
    const parts = [all]
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      const body = part.map(({ text }) => `${text}\n`).join('')
      const { reason } = await this.#requests.post(this.#target.writeUrl, body)
      if (reason === undefined) {
        for (const { readings } of part) report.written += readings
      } else if (part.length === 1) {
        this.#refuse(report, part[0]!, reason)
      } else {
        const middle = part.length >> 1
        parts.push(part.slice(middle), part.slice(0, middle))
      }
    }
  }

  #refuse(report: SinkReport, { text, readings }: Line, reason: string): void {
    report.refused += readings
    if (report.refusals.length === REFUSALS_MAX) return
    const line = text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text
    report.refusals.push({ reason, line })
  }

  async close(): Promise<void> {
    this.#requests.close()
    await this.#last
  }
}
