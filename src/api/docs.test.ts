/** Sends the examples of docs/api.md in order, and compares the answers. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { ACCESS } from './access.ts'
import { startBench } from './testing/api-bench.ts'

const text = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8')
const EXAMPLE = /```http\n(.*?)```\n```json (\d+)\n(.*?)```/gs
const ANY = '…'

let bench: Awaited<ReturnType<typeof startBench>>
before(async () => void (bench = await startBench()))
after(() => bench.close())

/** `"…"` matches any text, and a key `…` that there may be more keys. */
function matches(actual: unknown, expected: unknown, place: string): void {
  if (expected === ANY) return assert.equal(typeof actual, 'string', place)
  if (expected === null || typeof expected !== 'object')
    return assert.equal(actual, expected, place)
  assert.ok(actual !== null && typeof actual === 'object', place)
  const entries = Object.entries(expected).filter(([key]) => key !== ANY)
  if (!(ANY in expected)) {
    assert.deepEqual(Object.keys(actual).toSorted(), Object.keys(expected).toSorted(), place)
  }
  for (const [key, value] of entries) {
    matches((actual as Record<string, unknown>)[key], value, `${place}.${key}`)
  }
}

test('every example of docs/api.md is true', async () => {
  const names: Record<string, string> = { admin: bench.admin }
  const fill = (part: string): string =>
    part.replaceAll(/\{(admin|token)\}/g, (_, name: string) => names[name] ?? ANY)
  const examples = [...text.matchAll(EXAMPLE)]
  assert.equal(examples.length, text.match(/```http/g)?.length)
  for (const [, request = '', status, answer = ''] of examples) {
    const [head = '', body] = fill(request).trimEnd().split('\n\n')
    const [target = '', ...lines] = head.split('\n')
    const headers = Object.fromEntries(lines.map((line) => line.split(': ')))
    const reply = await bench.call(target, { headers, ...(body === undefined ? {} : { body }) })
    assert.equal(reply.status, Number(status), `${target}: ${reply.text}`)
    if (answer.trim() !== '') matches(reply.json, JSON.parse(fill(answer)), target)
    if (reply.json?.token !== undefined) names['token'] = reply.json.token
  }
})

test('docs/api.md names every route', () => {
  for (const key of Object.keys(ACCESS)) {
    const [, path = ''] = key.split(' ')
    const pattern = path.replaceAll(/\{\w+\}/g, '[^/\\s?`]+').replaceAll('/', '\\/')
    const isNamed = new RegExp(`[\\s\`]${pattern}(?=[\\s?\`])`).test(text)
    assert.ok(isNamed, key)
  }
})
