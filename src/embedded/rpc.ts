/**
 * Calls between threads: an object served on one end of a MessagePort, its proxy on the other.
 * Arguments and answers are plain data (structured clone). A WeirError arrives as a WeirError. An
 * AbortSignal as the last argument arrives as one, too, with its reason.
 */
import type { MessagePort, Transferable } from 'node:worker_threads'
import { WeirError, type ErrorCode } from '../errors/errors.ts'

interface Call {
  id: number
  method: string
  args: unknown[]
  /** A signal stands behind the arguments. */
  isCancellable: boolean
}

/** Of a call that is under way, or was. */
interface Cancellation {
  cancel: number
  reason: RemoteError
}

interface Answer {
  id: number
  value?: unknown
  error?: RemoteError
}

/** An error on its way between threads. */
export interface RemoteError {
  code: ErrorCode | undefined
  message: string
  details: Record<string, unknown>
}

export function remoteError(error: unknown): RemoteError {
  const isKnown = error instanceof WeirError
  return {
    code: isKnown ? error.code : undefined,
    message:
      error instanceof Error ? (isKnown ? error.message : (error.stack ?? '')) : String(error),
    details: isKnown ? { ...error.details } : {},
  }
}

export const localError = ({ code, message, details }: RemoteError): Error =>
  code === undefined ? new Error(message) : new WeirError(code, message, { details })

/** By method: the buffers of its arguments, or of its answer, that are moved instead of copied. */
type Give = Record<string, (...args: never[]) => Transferable[]>

type Methods = Record<string, (...args: never[]) => unknown>

/** The remote view of `T`: every method answers with a promise. */
export type Remote<T> = {
  [K in keyof T as T[K] extends (...args: never[]) => unknown ? K : never]: T[K] extends (
    ...args: infer A
  ) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never
}

/** What `give` names must not be used once it was answered. */
export function serve(port: MessagePort, methods: Methods, give: Give = {}): void {
  const cancellable = new Map<number, AbortController>()
  port.on('message', async (message: Call | Cancellation) => {
    if ('cancel' in message) {
      return cancellable.get(message.cancel)?.abort(localError(message.reason))
    }
    const { id, method, args } = message
    const answer: Answer = { id }
    let transfer: Transferable[] = []
    try {
      const handler = methods[method] as ((...args: unknown[]) => unknown) | undefined
      if (handler === undefined) throw new TypeError(`no method ${method} on this thread`)
      if (message.isCancellable) {
        const controller = new AbortController()
        cancellable.set(id, controller)
        args.push(controller.signal)
      }
      answer.value = await handler(...args)
      transfer = give[method]?.(answer.value as never) ?? []
    } catch (error) {
      answer.error = remoteError(error)
    }
    cancellable.delete(id)
    port.postMessage(answer, transfer)
  })
}

/** What `give` names must not be used after the call. */
export function connect<T>(port: MessagePort, give: Give = {}): Remote<T> {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  let nextId = 0
  port.on('message', ({ id, value, error }: Answer) => {
    const caller = waiting.get(id)
    if (error === undefined) caller?.resolve(value)
    else caller?.reject(localError(error))
  })
  const call = (method: string, args: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const id = nextId++
      const last = args.at(-1)
      const signal = last instanceof AbortSignal ? last : undefined
      const cancel = (): void => {
        const reason = remoteError(signal!.reason)
        port.postMessage({ cancel: id, reason } satisfies Cancellation)
      }
      const settled = (): void => {
        waiting.delete(id)
        signal?.removeEventListener('abort', cancel)
      }
      waiting.set(id, {
        resolve: (value) => (settled(), resolve(value)),
        reject: (error) => (settled(), reject(error)),
      })
      const isCancellable = signal !== undefined
      const plain = isCancellable ? args.slice(0, -1) : args
      const transfer = give[method]?.(...(plain as never[])) ?? []
      port.postMessage({ id, method, args: plain, isCancellable } satisfies Call, transfer)
      if (signal?.aborted === true) cancel()
      else signal?.addEventListener('abort', cancel)
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
