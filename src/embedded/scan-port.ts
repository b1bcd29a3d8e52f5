/**
 * A scan from one thread to another, step by step as it is asked for. The one that reads asks for a
 * step while it works on the one before; when its end of the port closes, because it has had enough
 * or is no more, the scan ends.
 */
import type { MessagePort } from 'node:worker_threads'
import type { ScanStep } from '../query/query.ts'
import { connect, serve, transferOf } from './rpc.ts'

interface ScanPort {
  /** Undefined at the end. */
  next(): Promise<ScanStep | undefined>
}

export function serveScan(port: MessagePort, steps: AsyncGenerator<ScanStep, void>): void {
  const methods: ScanPort = {
    async next() {
      const step = await steps.next()
      return step.done === true ? undefined : step.value
    },
  }
  serve(port, methods as never, { next: buffersOf })
  port.on('close', () => void steps.return().catch(() => undefined))
}

const buffersOf = (step: ScanStep | undefined) =>
  (step?.blocks ?? []).flatMap(({ timeUs, value, place }) => transferOf(timeUs, value, place))

/** Closes the port at its end. Errors: those of the scan. */
export async function* receiveScan(port: MessagePort): AsyncGenerator<ScanStep, void> {
  const scan = connect<ScanPort>(port)
  try {
    let ahead = scan.next()
    for (;;) {
      const step = await ahead
      if (step === undefined) return
      ahead = scan.next()
      // It may fail while the step is worked on: that is told when it is waited for.
      ahead.catch(() => undefined)
      yield step
    }
  } finally {
    port.close()
  }
}
