/**
 * The functions of the Flink job without Flink: `StreamRun` of `engines/flink`, a process that
 * takes a script a line. So thousands of scripts are compared where a job would take seconds each.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { DEFAULT_STREAM_LIMITS } from '../../../src/stream/limits.ts'
import type { Plan } from '../../../src/pipeline/pipeline.ts'
import { execute, findProgram } from '../../cluster/process.ts'
import type { TimedEntry } from './entries.ts'
import type { Topics } from './outcome.ts'

const folder = fileURLToPath(new URL('../../../engines/flink/', import.meta.url))
/** Maven writes it with the classes. */
const CLASS_PATH = `${folder}target/test-class-path`

/** Entries up to `end`, then a crash; what is saved is as it was at `save`. */
export interface Life {
  end: number
  save: number
}

interface Answer extends Record<keyof Topics, { key: string; value: string; source?: number }[]> {
  error?: string
}

export class StreamRun implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #lines: Interface

  private constructor() {
    const classPath = [`${folder}target/classes`, `${folder}target/test-classes`]
    const command = [...classPath, readFileSync(CLASS_PATH, 'utf8').trim()].join(':')
    this.#process = spawn('java', ['-Xmx256m', '-cp', command, 'weir.flink.stream.StreamRun'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#lines = createInterface({ input: this.#process.stdout })
  }

  /** Why it cannot run; undefined when it can. */
  static missing(): string | undefined {
    const program = ['javac', 'mvn'].find((name) => findProgram(name) === undefined)
    return program === undefined ? undefined : `${program} is not installed`
  }

  /** Of the classes as they are now. */
  static start(): StreamRun {
    if (isStale()) execute('mvn', ['-q', '-B', '-ntp', 'process-test-classes'], { cwd: folder })
    return new StreamRun()
  }

  async run(plan: Plan, entries: readonly TimedEntry[], lives: readonly Life[]): Promise<Topics> {
    const { stateTtlUs } = DEFAULT_STREAM_LIMITS
    const script = {
      plan: JSON.stringify({ ...plan, stateTtlUs }),
      entries: entries.map(({ key, value, timestampMs, readMs }) => ({
        ...{ key: key && base64(key), value: base64(value), timestampMs, readMs },
      })),
      lives,
    }
    this.#process.stdin.write(`${JSON.stringify(script)}\n`)
    const [line] = (await once(this.#lines, 'line')) as [string]
    const answer = JSON.parse(line) as Answer
    if (answer.error !== undefined) throw new Error(answer.error)
    const topic = (name: keyof Topics) =>
      answer[name].map(({ key, value, source }) => ({
        ...{ key: bytes(key), value: bytes(value), source },
      }))
    const [readings, windows] = [topic('readings'), topic('windows')]
    return { readings, windows, events: topic('events'), deadLetters: topic('deadLetters') }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end()
    await once(this.#process, 'exit')
  }
}

/** Maven takes seconds to see that nothing is to be done. */
function isStale(): boolean {
  if (!existsSync(CLASS_PATH)) return true
  const builtMs = statSync(CLASS_PATH).mtimeMs
  const sources = readdirSync(`${folder}src`, { recursive: true, withFileTypes: true })
  return sources.some(
    (one) => one.isFile() && statSync(join(one.parentPath, one.name)).mtimeMs > builtMs,
  )
}

const base64 = (value: Uint8Array): string => Buffer.from(value).toString('base64')
const bytes = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value, 'base64'))
