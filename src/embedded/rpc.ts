/**
 * Calls between threads: an object served on one end of a MessagePort, its proxy on the other.
 * Arguments and answers are plain data (structured clone). A WeirError arrives as a WeirError.
 */
import type { MessagePort, Transferable } from 'node:worker_threads'
import { WeirError, type ErrorCode } from '../errors/errors.ts'

interface Call {
  id: number
  method: string
  args: unknown[]
}

interface Answer {
  id: number
  value?: unknown
  error?: { code: ErrorCode | undefined; message: string; details: Record<string, unknown> }
}

type Methods = Record<string, (...args: never[]) => unknown>

/** The remote view of `T`: every method answers with a promise. */
export type Remote<T> = {
  [K in keyof T as T[K] extends (...args: never[]) => unknown ? K : never]: T[K] extends (
    ...args: infer A
  ) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never
}

export function serve(port: MessagePort, methods: Methods): void {
  port.on('message', async ({ id, method, args }: Call) => {
    const answer: Answer = { id }
    try {
      const handler = methods[method] as ((...args: unknown[]) => unknown) | undefined
      if (handler === undefined) throw new TypeError(`no method ${method} on this thread`)
      answer.value = await handler(...args)
    } catch (error) {
      const isKnown = error instanceof WeirError
      answer.error = {
        code: isKnown ? error.code : undefined,
        message:
          error instanceof Error ? (isKnown ? error.message : (error.stack ?? '')) : String(error),
        details: isKnown ? { ...error.details } : {},
      }
    }
    port.postMessage(answer)
  })
}

/**
 * `give` names, by method, the buffers of a call's arguments that are moved instead of copied; the
 * caller must not use them afterwards.
 */
export function connect<T>(
  port: MessagePort,
  give: Record<string, (...args: never[]) => Transferable[]> = {},
): Remote<T> {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  let nextId = 0
  port.on('message', ({ id, value, error }: Answer) => {
    const caller = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) caller?.resolve(value)
    else if (error.code === undefined) caller?.reject(new Error(error.message))
    else caller?.reject(new WeirError(error.code, error.message, { details: error.details }))
  })
  const call = (method: string, args: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const id = nextId++
      waiting.set(id, { resolve, reject })
      const transfer = give[method]?.(...(args as never[])) ?? []
      port.postMessage({ id, method, args } satisfies Call, transfer)
    })
  return new Proxy({} as Remote<T>, {
    get:
      (_, method) =>
      (...args: unknown[]) =>
        call(String(method), args),
  })
}

/** The buffers to give away with a message, without those that are undefined. */
export function transferOf(...views: (ArrayBufferView | undefined)[]): Transferable[] {
  return views.flatMap((view) => (view === undefined ? [] : [view.buffer as ArrayBuffer]))
}
