/** A back-test's thread: it lives as long as one. Rules are data, so it needs nothing but them. */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import {
  runBacktest,
  type BacktestProgress,
  type BacktestQuestion,
  type BacktestReport,
} from '../backtest/backtest.ts'
import type { RemoteError } from './rpc.ts'
import { remoteError } from './rpc.ts'
import { receiveScan } from './scan-port.ts'

export interface BacktestThreadData {
  question: BacktestQuestion
  /** Where the scan is served. */
  readings: MessagePort
}

export type BacktestWord =
  | { progress: BacktestProgress }
  | { report: BacktestReport }
  | { error: RemoteError }

const { question, readings } = workerData as BacktestThreadData
const say = (word: BacktestWord): void => parentPort!.postMessage(word)

try {
  const scan = { scan: () => receiveScan(readings) }
  const onProgress = (progress: BacktestProgress): void => say({ progress })
  say({ report: await runBacktest(question, { scan, onProgress }) })
} catch (error) {
  say({ error: remoteError(error) })
}
