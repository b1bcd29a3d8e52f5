import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WeirError } from '../errors/errors.ts'
import { SimulatedClock } from '../world/simulated-clock.ts'
import type { DeviceRow } from './device-row.ts'
import {
  RemoteDeviceReader,
  type DeviceSource,
  type RemoteReaderOptions,
} from './remote-device-reader.ts'
import { hashSecret } from './secrets.ts'

const TENANT = 'default'
const TRAVEL_MS = 10

/** A registry some way off: devices by id, each with its token. */
class Registry implements DeviceSource {
  readonly tokens = new Map<string, string>()
  readonly questions: string[][] = []
  isAway = false
  underWay = 0
  readonly #clock: SimulatedClock

  constructor(clock: SimulatedClock) {
    this.#clock = clock
  }

  async ask(tenant: string, ids: readonly string[]): Promise<DeviceRow[]> {
    this.questions.push([...ids])
    this.underWay++
    const rows = ids.filter((id) => this.tokens.has(id)).map((id) => this.#row(tenant, id))
    await new Promise<void>((resolve) => this.#clock.after(TRAVEL_MS, resolve))
    this.underWay--
    if (this.isAway) throw new WeirError('CONTROL_UNAVAILABLE')
    return rows
  }

  async close(): Promise<void> {}

  #row(tenant: string, id: string): DeviceRow {
    return {
      ...{ number: 1, tenant, id, type: 'generic', location: null, tags: '{}', parent: null },
      ...{ is_gateway: 0, created_at_us: 1, token_hash: hashSecret(this.tokens.get(id)!) },
    }
  }
}

const all = (asked: (Promise<void> | undefined)[]): Promise<void[]> =>
  Promise.all(asked.map((one) => Promise.resolve(one)))

function startBench(options: Partial<RemoteReaderOptions> = {}) {
  const clock = new SimulatedClock()
  const registry = new Registry(clock)
  const reader = new RemoteDeviceReader(registry, clock, options)
  /** Whether the answer came. */
  const ask = async (ids: string[], token?: string): Promise<boolean> => {
    const asked = reader.prepare(TENANT, ids, token === undefined ? {} : { token })
    const answer = Promise.resolve(asked).then(
      () => true,
      (error: WeirError) => {
        assert.equal(error.code, 'CONTROL_UNAVAILABLE')
        return false
      },
    )
    if (asked !== undefined) await clock.run(2 * TRAVEL_MS)
    return answer
  }
  const isTaken = async (id: string, token: string): Promise<boolean | 'away'> => {
    if (!(await ask([id], token))) return 'away'
    return reader.authenticate(TENANT, id, token) !== undefined
  }
  return { clock, registry, reader, ask, isTaken }
}

test('what is asked at once is one question; what is asked meanwhile is the next', async () => {
  const { clock, registry, reader } = startBench({ questionsMax: 1 })
  const asked = Array.from({ length: 300 }, (_, i) => reader.prepare(TENANT, [`d${i % 200}`]))
  await clock.run(TRAVEL_MS / 2)
  assert.deepEqual([registry.questions.length, registry.questions[0]!.length], [1, 200])
  // Under way already, or in the next one.
  const later = [['d7'], ['x'], ['y', 'd8'], ['x']].map((ids) => reader.prepare(TENANT, ids))
  await clock.run(TRAVEL_MS / 2)
  await all(asked)
  await clock.run(TRAVEL_MS)
  await all(later)
  assert.deepEqual(registry.questions.slice(1), [['x', 'y']])
  assert.deepEqual(reader.statistics, { questions: 2, failures: 0 })
})

test('thousands of ids are some questions of a thousand, of which a few are under way', async () => {
  const { clock, registry, reader } = startBench({ questionsMax: 2 })
  const ids = Array.from({ length: 4500 }, (_, i) => `d${i}`)
  registry.tokens.set('d4444', 't')
  const asked = reader.prepare(TENANT, ids)
  let most = 0
  while (await clock.step()) most = Math.max(most, registry.underWay)
  await asked
  assert.equal(most, 2)
  assert.deepEqual(
    registry.questions.map(({ length }) => length),
    [1000, 1000, 1000, 1000, 500],
  )
  assert.equal(reader.find(TENANT, 'd4444')?.id, 'd4444')
  assert.equal(reader.find(TENANT, 'd4443'), undefined)
})

test('R3 what was found counts for 30 s, what was not for 1 s', async () => {
  const { clock, registry, reader, ask } = startBench()
  registry.tokens.set('a', 't')
  await ask(['a', 'b'])
  assert.equal(reader.prepare(TENANT, ['a', 'b']), undefined)
  await clock.run(1000)
  assert.equal(reader.prepare(TENANT, ['a']), undefined)
  registry.tokens.set('b', 't')
  await ask(['a', 'b'])
  assert.deepEqual(registry.questions.at(-1), ['b'])
  assert.equal(reader.find(TENANT, 'b')?.id, 'b')
  registry.tokens.clear()
  await clock.run(28_900)
  assert.equal(reader.find(TENANT, 'a')?.id, 'a')
  await clock.run(100)
  assert.equal(reader.find(TENANT, 'a'), undefined)
  await ask(['a'])
  assert.equal(reader.find(TENANT, 'a'), undefined)
})

test('R3 a token that was replaced is not taken for longer, a new one at once', async () => {
  const { clock, registry, reader, isTaken } = startBench()
  registry.tokens.set('a', 'old')
  assert.equal(await isTaken('a', 'old'), true)
  await clock.run(5000)
  registry.tokens.set('a', 'new')
  let takenMs = 0
  const replacedMs = clock.monotonicMs()
  while (await isTaken('a', 'old')) {
    takenMs = clock.monotonicMs() - replacedMs
    await clock.run(50)
  }
  assert.ok(takenMs > 20_000 && takenMs <= 30_000, `${takenMs} ms`)
  registry.tokens.set('a', 'newer')
  await clock.run(1000)
  assert.equal(await isTaken('a', 'newer'), true, 'although what is remembered is fresh')
  assert.equal(reader.authenticate(TENANT, 'a', 'new'), undefined)
})

test('a wrong token, and an unknown id, are a question a second', async () => {
  const { clock, registry, isTaken } = startBench()
  registry.tokens.set('a', 'right')
  for (let tries = 0; tries < 100; tries++) {
    assert.equal(await isTaken('a', 'wrong'), false)
    assert.equal(await isTaken('nobody', 'wrong'), false)
    await clock.run(50)
  }
  assert.ok(registry.questions.length <= 12, `${registry.questions.length} in 5 s`)
})

test('a token is not judged by a question that was under way before it came', async () => {
  const { clock, registry, reader } = startBench()
  registry.tokens.set('a', 'old')
  const first = reader.prepare(TENANT, ['a'])
  await clock.run(TRAVEL_MS / 2)
  registry.tokens.set('a', 'new')
  const second = reader.prepare(TENANT, ['a'], { token: 'new' })
  await clock.run(2 * TRAVEL_MS)
  await Promise.all([first, second])
  assert.ok(reader.authenticate(TENANT, 'a', 'new'))
})

test('the registry is away: who was found goes on counting for a while, nobody else', async () => {
  const { clock, registry, reader, ask, isTaken } = startBench({ awayMs: 120_000 })
  registry.tokens.set('a', 't')
  assert.equal(await isTaken('a', 't'), true)
  await ask(['unknown'])
  registry.isAway = true
  await clock.run(31_000)
  assert.equal(reader.find(TENANT, 'a'), undefined, 'not before the registry was asked')
  const before = registry.questions.length
  for (let tries = 0; tries < 10; tries++) assert.equal(await isTaken('a', 't'), true)
  assert.equal(registry.questions.length, before + 1, 'asked again only after a moment')
  assert.equal(reader.find(TENANT, 'a')?.id, 'a')
  assert.equal(await isTaken('a', 'wrong'), 'away', 'it may be a new one')
  assert.equal(await ask(['unknown']), false, 'it may be registered now')
  assert.equal(await ask(['a', 'unknown']), false)
  const endMs = 120_000
  while (clock.monotonicMs() < endMs - 2000) {
    assert.equal(await isTaken('a', 't'), true)
    await clock.run(500)
  }
  await clock.run(endMs - clock.monotonicMs())
  assert.equal(await isTaken('a', 't'), 'away')
  registry.isAway = false
  assert.equal(await isTaken('a', 't'), true)
})

test('of more than is remembered the least recently used is forgotten', async () => {
  const { reader, registry, ask } = startBench({ devicesMax: 3 })
  for (const id of ['a', 'b', 'c', 'd']) registry.tokens.set(id, 't')
  await ask(['a', 'b', 'c'])
  assert.ok(reader.find(TENANT, 'a'))
  await ask(['d'])
  assert.equal(reader.deviceCount, 3)
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((id) => reader.find(TENANT, id)?.id),
    ['a', undefined, 'c', 'd'],
  )
})

test('a time-out that an answer could outlive is refused', () => {
  assert.throws(() => startBench({ foundMs: 3000, timeoutMs: 2000 }), RangeError)
})
