/** Starts the generator as a process of its own and listens to it. */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { GeneratorWord, LoadJob, LoadProgress, LoadReport } from './load.ts'

const GENERATOR = fileURLToPath(new URL('./generator.ts', import.meta.url))

export interface Generation {
  /** Sends from now on. */
  start(): void
  /** Rejects with the generator's problem. */
  report: Promise<LoadReport>
  acknowledged(): number
  /** Called with each word of progress. */
  onProgress(listener: (progress: LoadProgress) => void): void
}

/** Resolves once all connections stand. */
export async function prepareGenerator(job: LoadJob): Promise<Generation> {
  const child = fork(GENERATOR, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  let acknowledged = 0
  let listener: ((progress: LoadProgress) => void) | undefined
  let connected: () => void = () => {}
  const ready = new Promise<void>((resolve) => (connected = resolve))
  const report = new Promise<LoadReport>((resolve, reject) => {
    child.on('message', (message) => {
      const word = message as GeneratorWord
      if (word.word === 'connected') connected()
      else if (word.word === 'progress') {
        acknowledged = word.progress.acknowledged
        listener?.(word.progress)
      } else if (word.word === 'done') resolve(word.report)
      else reject(new Error(`generator: ${word.problem}`))
    })
    child.once('exit', (code) => reject(new Error(`the generator ended with ${String(code)}`)))
  })
  child.send(job)
  await Promise.race([ready, report])
  return {
    start: () => void child.send('go'),
    report,
    acknowledged: () => acknowledged,
    onProgress: (next) => (listener = next),
  }
}

export async function generate(job: LoadJob): Promise<LoadReport> {
  const generation = await prepareGenerator(job)
  generation.start()
  return generation.report
}

/** Ends a process that a benchmark started: politely, then not. */
export async function stopChild(child: ChildProcess, graceMs = 10_000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
  await exited
  clearTimeout(timer)
}
