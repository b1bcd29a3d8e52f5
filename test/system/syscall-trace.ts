/**
 * Debian's strace on a running process: which system calls began and ended, in the order in which
 * the kernel stopped for them. What `kill -9` cannot show: that a flush was asked of the disk.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { missingTool, Running, until } from './weir-process.ts'

export interface TraceEvent {
  /** Each call is there twice, also when nothing of another thread came between. */
  at: 'begin' | 'end'
  thread: number
  call: string
  /** What strace prints between the brackets; strings are hexadecimal, descriptors have paths. */
  text: string
}

/** `1234 pwrite64(30</a/b>, "\x45…", 8, 0) = 8`, or cut in two by another thread's call. */
const WHOLE = /^(\d+) +(\w+)\((.*)\) += (-?\d+)/
const BEGUN = /^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$/
const RESUMED = /^(\d+) +<\.\.\. (\w+) resumed>/

/** A descriptor's path, which `-xx` prints in hexadecimal as it does strings. */
const HEX_PATH = /<(?<path>(?:\\x[0-9a-f]{2})+)>/g

const pathOf = (hex: string): string =>
  Buffer.from(hex.replaceAll('\\x', ''), 'hex').toString('latin1')

function parseTrace(text: string): TraceEvent[] {
  const begun = new Map<number, string>()
  return text.split('\n').flatMap((raw): TraceEvent[] => {
    const line = raw.replaceAll(HEX_PATH, (_, path: string) => `<${pathOf(path)}>`)
    const [, thread, call = '', inside = ''] = WHOLE.exec(line) ?? BEGUN.exec(line) ?? []
    if (thread !== undefined) {
      const event = { thread: Number(thread), call, text: inside }
      const begin = { ...event, at: 'begin' } as const
      if (line.endsWith('<unfinished ...>')) {
        begun.set(event.thread, inside)
        return [begin]
      }
      return [begin, { ...event, at: 'end' }]
    }
    const [, back, resumed = ''] = RESUMED.exec(line) ?? []
    if (back === undefined) return []
    const event = { thread: Number(back), call: resumed, text: begun.get(Number(back)) ?? '' }
    return [{ ...event, at: 'end' }]
  })
}

export const hexOf = (text: string | Uint8Array): string =>
  [...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')

/** Why the machine cannot trace, or false when it can. */
export async function cannotTrace(): Promise<string | false> {
  const missing = await missingTool('strace')
  if (missing !== false) return missing
  const sleeper = new Running('sleep', ['60'])
  try {
    const trace = await Trace.attach(sleeper.child.pid!, ['write'])
    await trace.end()
    return false
  } catch (error) {
    return `strace may not attach to a process here: ${String(error).slice(0, 200)}`
  } finally {
    await sleeper.signal('SIGKILL')
  }
}

export class Trace {
  readonly #running: Running
  readonly #folder: string

  private constructor(running: Running, folder: string) {
    this.#running = running
    this.#folder = folder
  }

  /** Resolves once every thread of the process is traced. */
  static async attach(pid: number, calls: readonly string[]): Promise<Trace> {
    const folder = await mkdtemp(join(tmpdir(), 'weir-trace-'))
    const shape = ['-f', '-y', '-xx', '-s', '4096', '-e', `trace=${calls.join()}`]
    const parameters = [...shape, '-o', join(folder, 'trace'), '-p', String(pid)]
    const running = new Running('strace', parameters)
    await until('strace is attached', () => {
      if (running.hasEnded) throw new Error(running.stderr)
      return running.stderr.includes('attached')
    })
    return new Trace(running, folder)
  }

  /** Lets the process go on alone; returns what was seen. */
  async end(): Promise<TraceEvent[]> {
    await this.#running.signal('SIGINT')
    const text = await readFile(join(this.#folder, 'trace'), 'utf8')
    await rm(this.#folder, { recursive: true, force: true })
    return parseTrace(text)
  }
}
