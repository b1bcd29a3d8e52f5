/** Processes that run statements: started when needed, and ended when one takes too long. */
import { fork, type ChildProcess } from 'node:child_process'
import { WeirError, type ErrorCode } from '../errors/errors.ts'
import type { SqlAnswer, SqlLimits, SqlSource, StatementLook } from '../sql/sql.ts'
import type { Clock, Random } from '../world/world.ts'
import { fileOfThread } from './start-threads.ts'
import type { SqlReply, SqlTask } from './sql-process.ts'

/** Of the process's own heap: answers and dictionaries. */
const HEAP_MEGABYTES = 256

export class SqlRunner {
  readonly #limits: SqlLimits
  readonly #clock: Clock
  readonly #random: Random
  readonly #atOnce: number
  /** Processes that wait for a statement. */
  readonly #idle: ChildProcess[] = []
  readonly #busy = new Set<ChildProcess>()
  readonly #waiting: (() => void)[] = []
  #isClosed = false

  constructor({
    limits,
    atOnce,
    clock,
    random,
  }: {
    limits: SqlLimits
    atOnce: number
    clock: Clock
    random: Random
  }) {
    this.#limits = limits
    this.#clock = clock
    this.#random = random
    this.#atOnce = atOnce
  }

  /** What the statement is about. Errors: those of Q2; QUERY_FAILED when its process ended. */
  look(sql: string, signal: AbortSignal): Promise<StatementLook> {
    return this.#carryOut<StatementLook>({ look: { sql, limits: this.#limits } }, signal)
  }

  /** Errors: those of Q2 and Q3; QUERY_FAILED when its process ended. */
  run(sql: string, source: SqlSource, signal: AbortSignal): Promise<SqlAnswer> {
    const secret = `w${Buffer.from(this.#random.bytes(16)).toString('hex')}_`
    const run = { sql, source, limits: this.#limits, secret }
    return this.#carryOut<SqlAnswer>({ run }, signal)
  }

  async #carryOut<T>(task: SqlTask, signal: AbortSignal): Promise<T> {
    while (this.#busy.size >= this.#atOnce) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    if (this.#isClosed || signal.aborted) throw new WeirError('QUERY_FAILED', 'it ended')
    const child = this.#take()
    this.#busy.add(child)
    try {
      const result = await this.#ask(child, task, signal)
      this.#idle.push(child)
      return result as T
    } finally {
      this.#busy.delete(child)
      this.#waiting.shift()?.()
    }
  }

  #take(): ChildProcess {
    for (;;) {
      const child = this.#idle.pop()
      if (child === undefined) return start()
      if (child.connected) return child
    }
  }

  #ask(child: ChildProcess, task: SqlTask, signal: AbortSignal): Promise<unknown> {
    const { timeMs } = this.#limits
    const settled = Promise.withResolvers<unknown>()
    const end = (error: WeirError): void => {
      child.kill('SIGKILL')
      settled.reject(error)
    }
    const cancel = this.#clock.after(timeMs, () => {
      const detail = `It took longer than ${timeMs} ms: narrow it`
      end(new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: timeMs } }))
    })
    const abort = (): void => end(new WeirError('QUERY_FAILED', 'whoever asked has gone'))
    const reply = (message: SqlReply): void => {
      if ('result' in message) return settled.resolve(message.result)
      const { code, message: detail, details } = message.problem
      const error = new WeirError(code as ErrorCode, detail, { details })
      // What went wrong unawares may have left something behind.
      if (code === 'QUERY_FAILED') return end(error)
      this.#idle.push(child)
      settled.reject(error)
    }
    const gone = (): void =>
      settled.reject(new WeirError('QUERY_LIMIT_EXCEEDED', 'It needs too much memory: narrow it'))
    const broken = (cause: Error): void =>
      end(new WeirError('QUERY_FAILED', 'no process can be had for it', { cause }))
    signal.addEventListener('abort', abort)
    child.once('error', broken)
    child.once('message', reply)
    child.once('exit', gone)
    child.send(task)
    return settled.promise.finally(() => {
      cancel()
      signal.removeEventListener('abort', abort)
      child.off('error', broken)
      child.off('message', reply)
      child.off('exit', gone)
    })
  }

  close(): void {
    this.#isClosed = true
    for (const child of [...this.#idle, ...this.#busy]) child.kill('SIGKILL')
    for (const wake of this.#waiting) wake()
  }
}

function start(): ChildProcess {
  const child = fork(fileOfThread('./sql-process.ts'), {
    execArgv: ['--disable-warning=ExperimentalWarning', `--max-old-space-size=${HEAP_MEGABYTES}`],
    serialization: 'advanced',
    // It gets no secret that this process may have in its environment.
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  // One that cannot be started or spoken to says so, and again when nobody waits for it.
  child.on('error', () => undefined)
  // It keeps no server alive that wants to end.
  child.unref()
  child.channel?.unref()
  return child
}
