/** Back-tests of one process: one at a time, each in a thread that ends with it. */
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads'
import {
  scanQuestionOf,
  type BacktestHandle,
  type BacktestQuestion,
  type BacktestReport,
  type Backtests,
} from '../backtest/backtest.ts'
import { WeirError } from '../errors/errors.ts'
import { compileRule } from '../pipeline/compile.ts'
import type { Plan, Rule, RuleDefinition } from '../pipeline/pipeline.ts'
import type { ScanQuestion } from '../query/query.ts'
import type { BacktestThreadData, BacktestWord } from './backtest-thread.ts'
import { localError } from './rpc.ts'
import { fileOfThread } from './start-threads.ts'

/** `serve` hands the steps of a scan over on a port, until that is closed. */
export type ServeScan = (question: ScanQuestion, port: MessagePort) => void

export class ThreadBacktests implements Backtests {
  readonly #plan: Plan
  readonly #serve: ServeScan
  #isRunning = false

  constructor(plan: Plan, serve: ServeScan) {
    this.#plan = plan
    this.#serve = serve
  }

  compile(rule: RuleDefinition): Rule {
    return compileRule(rule, this.#plan)
  }

  start(question: Omit<BacktestQuestion, 'plan'>, handle: BacktestHandle): Promise<BacktestReport> {
    if (this.#isRunning) throw new WeirError('BACKTEST_RUNNING')
    this.#isRunning = true
    const { time, windowsMs } = this.#plan
    return this.#run({ ...question, plan: { time, windowsMs } }, handle).finally(() => {
      this.#isRunning = false
    })
  }

  async #run(question: BacktestQuestion, handle: BacktestHandle): Promise<BacktestReport> {
    const { port1, port2 } = new MessageChannel()
    this.#serve(scanQuestionOf(question), port1)
    const workerData: BacktestThreadData = { question, readings: port2 }
    const worker = new Worker(fileOfThread('./backtest-thread.ts'), {
      workerData,
      transferList: [port2],
    })
    try {
      return await answerOf(worker, handle)
    } finally {
      // With the thread its end of the port is closed, and so the scan.
      await worker.terminate()
    }
  }
}

function answerOf(worker: Worker, { onProgress, signal }: BacktestHandle): Promise<BacktestReport> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    worker.on('message', (word: BacktestWord) => {
      if ('progress' in word) onProgress(word.progress)
      else if ('report' in word) resolve(word.report)
      else reject(localError(word.error))
    })
    worker.on('error', reject)
    worker.on('exit', (code) => reject(new Error(`a back-test’s thread ended with code ${code}`)))
  })
}
