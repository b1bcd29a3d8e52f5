import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { WeirError } from '../errors/errors.ts'
import { connect, serve } from './rpc.ts'

interface Slow {
  wait(name: string, signal?: AbortSignal): Promise<string>
  arguments(...values: unknown[]): number
}

test('a signal reaches the other thread with its reason, before and during a call', async () => {
  const { port1, port2 } = new MessageChannel()
  const begun: string[] = []
  const methods: Slow = {
    wait(name, signal) {
      begun.push(name)
      if (signal === undefined) return Promise.resolve('nobody may end it')
      return new Promise((_, reject) => {
        const end = (): void => reject(signal.reason)
        if (signal.aborted) end()
        else signal.addEventListener('abort', end)
      })
    },
    arguments: (...values) => values.length,
  }
  serve(port1, methods as never)
  const remote = connect<Slow>(port2)
  try {
    const [one, other] = [new AbortController(), new AbortController()]
    const calls = [remote.wait('one', one.signal), remote.wait('other', other.signal)]
    one.abort(new WeirError('QUERY_LIMIT_EXCEEDED', 'too long', { details: { limit: 1 } }))
    await assert.rejects(calls[0]!, {
      ...{ code: 'QUERY_LIMIT_EXCEEDED', message: 'too long', details: { limit: 1 } },
    })
    await assert.rejects(remote.wait('late', one.signal), { code: 'QUERY_LIMIT_EXCEEDED' })
    assert.deepEqual(begun, ['one', 'other', 'late'])
    other.abort(new WeirError('QUERY_FAILED'))
    await assert.rejects(calls[1]!, { code: 'QUERY_FAILED' })
    assert.equal(await remote.wait('free'), 'nobody may end it')
    assert.equal(await remote.arguments(1, 2), 2)
  } finally {
    port1.close()
  }
})
