/** A progress bar on stderr, drawn only on a terminal and at most ten times a second. */
const BAR_COLUMNS = 28
const REDRAW_MS = 100

export interface ProgressOutput {
  isTTY?: boolean
  write(text: string): unknown
}

export class Progress {
  readonly #total: number
  readonly #output: ProgressOutput
  #drawnAtMs = -Infinity

  /** `total` in any unit; 0 or NaN when it is not known: then only the words are shown. */
  constructor(total: number, output: ProgressOutput = process.stderr) {
    this.#total = total
    this.#output = output
  }

  update(done: number, words: string): void {
    const nowMs = performance.now()
    if (this.#output.isTTY !== true || nowMs - this.#drawnAtMs < REDRAW_MS) return
    this.#drawnAtMs = nowMs
    this.#output.write(`\r\u001b[K${this.#line(done, words)}`)
  }

  /** Clears the line, so that the summary starts at its beginning. */
  finish(): void {
    if (this.#output.isTTY === true && this.#drawnAtMs > -Infinity) this.#output.write('\r\u001b[K')
  }

  #line(done: number, words: string): string {
    if (!(this.#total > 0)) return words
    const share = Math.min(1, done / this.#total)
    const full = Math.round(share * BAR_COLUMNS)
    const bar = '█'.repeat(full) + '░'.repeat(BAR_COLUMNS - full)
    return `${bar} ${String(Math.floor(share * 100)).padStart(3)} %  ${words}`
  }
}
