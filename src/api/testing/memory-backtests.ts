/** Back-tests for the API's tests: over nothing stored, and going on until a test lets them end. */
import {
  runBacktest,
  type BacktestHandle,
  type BacktestQuestion,
  type BacktestReport,
  type Backtests,
} from '../../backtest/backtest.ts'
import { WeirError } from '../../errors/errors.ts'
import { compileRule } from '../../pipeline/compile.ts'
import type { Plan, Rule, RuleDefinition } from '../../pipeline/pipeline.ts'
import type { ScanStep } from '../../query/query.ts'

export class MemoryBacktests implements Backtests {
  readonly #plan: Plan
  /** The step of the scan that comes next. */
  #next = Promise.withResolvers<ScanStep | undefined>()
  isRunning = false
  question: Omit<BacktestQuestion, 'plan'> | undefined

  constructor(plan: Plan) {
    this.#plan = plan
  }

  compile(rule: RuleDefinition): Rule {
    return compileRule(rule, this.#plan)
  }

  start(
    question: Omit<BacktestQuestion, 'plan'>,
    { onProgress, signal }: BacktestHandle,
  ): Promise<BacktestReport> {
    if (this.isRunning) throw new WeirError('BACKTEST_RUNNING')
    this.isRunning = true
    this.question = question
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error))
    })
    const scan = { scan: () => this.#scan() }
    const running = runBacktest({ ...question, plan: this.#plan }, { scan, onProgress })
    return Promise.race([running, aborted]).finally(() => (this.isRunning = false))
  }

  /** Undefined ends the scan. */
  give(step: ScanStep | undefined): void {
    this.#next.resolve(step)
  }

  fail(error: Error): void {
    this.#next.reject(error)
  }

  async *#scan(): AsyncGenerator<ScanStep, void> {
    for (;;) {
      const step = await this.#next.promise
      this.#next = Promise.withResolvers()
      if (step === undefined) return
      yield step
    }
  }
}
