/** What a benchmark says: lines for people while it runs, one JSON object as its last line. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Result {
  name: string
  value: number
  unit: string
}

export interface Report {
  question: string
  machine: {
    cpu: string
    cores: number
    memoryGb: number
    node: string
    system: string
    /** Of the minute before the run: above 0.5, others were using the machine. */
    loadBefore: number
  }
  commit: string
  isQuick: boolean
  results: Result[]
  /** Peers that are not installed, and other things a reader must know. */
  notes: string[]
}

export const isQuick = process.argv.includes('--quick')

/** `--name value`, or the default. */
export function numberFlag(name: string, fallback: number): number {
  const at = process.argv.indexOf(`--${name}`)
  const value = at < 0 ? NaN : Number(process.argv[at + 1])
  return Number.isFinite(value) ? value : fallback
}

export class Reporter {
  readonly #file: string
  readonly #report: Report

  constructor(
    name: string,
    question: string,
    folder: URL = new URL('./results/', import.meta.url),
  ) {
    this.#file = fileURLToPath(new URL(`${name}.json`, folder))
    const git = spawnSync('git', ['rev-parse', '--short', 'HEAD'])
    this.#report = {
      question,
      machine: {
        cpu: cpus()[0]?.model ?? 'unknown',
        cores: cpus().length,
        memoryGb: Math.round(totalmem() / 2 ** 30),
        node: process.version,
        system: process.platform,
        loadBefore: loadavg()[0] ?? 0,
      },
      commit: git.status === 0 ? git.stdout.toString().trim() : 'unknown',
      isQuick,
      results: [],
      notes: [],
    }
    const load = this.#report.machine.loadBefore
    console.log(`${question}\nload average of the last minute: ${load.toFixed(2)}`)
    if (load > 0.5)
      this.note(`the machine was in use: load average ${load.toFixed(2)} before the run`)
  }

  add(name: string, value: number, unit: string): void {
    // Four digits are more than any of these figures is repeatable to.
    const rounded = Number(value.toPrecision(4))
    this.#report.results.push({ name, value: rounded, unit })
    console.log(`${name}: ${rounded.toLocaleString('en')} ${unit}`)
  }

  note(text: string): void {
    this.#report.notes.push(text)
    console.log(`note: ${text}`)
  }

  /** Full runs are kept; quick ones only with --save. Prints the JSON line. */
  finish(): void {
    if (!isQuick || process.argv.includes('--save')) {
      mkdirSync(dirname(this.#file), { recursive: true })
      writeFileSync(this.#file, `${JSON.stringify(this.#report, undefined, 2)}\n`)
    }
    console.log(JSON.stringify(this.#report))
  }
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const high = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? NaN)) / 2
}
