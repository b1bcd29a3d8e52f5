/** What every control store must do. An adapter's test calls `testControl` with how to open it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { WeirError } from '../errors/errors.ts'
import type { Control } from './control.ts'

/** One store: opened again and again, also while it is open already if `isShared`. */
export interface ControlBench {
  open(): Promise<Control>
  /** Everything that is stored, as bytes. */
  contents(): Promise<string>
}

export interface ControlTraits {
  name: string
  createBench(): Promise<ControlBench>
  skip?: string | undefined
  /** Several processes use one store at once. */
  isShared: boolean
}

const hasCode =
  (code: string) =>
  (error: WeirError): boolean =>
    error.code === code

export function testControl(traits: ControlTraits): void {
  const promise: Promised = (name, run, skip = false) => {
    test(`${name} [${traits.name}]`, { skip: traits.skip ?? skip }, async () => {
      const bench = await traits.createBench()
      const control = await bench.open()
      try {
        await run(bench, control)
      } finally {
        await control.close()
      }
    })
  }
  testDevices(promise)
  testSecrets(promise)
  testSharing(promise, traits.isShared ? false : 'one process has it')
}

type Promised = (
  name: string,
  run: (bench: ControlBench, control: Control) => Promise<void>,
  skip?: string | false,
) => void

function testDevices(promise: Promised): void {
  promise('a created device is found with everything it was given', async (_, control) => {
    const given = { id: 'pump-1', type: 'pump', location: 'Hall 3', tags: { line: 'A' } }
    const { device, token } = await control.createDevice('default', { ...given, parent: 'g' })
    assert.match(token, /^wdt_[A-Za-z0-9_-]{43}$/)
    const { createdAtUs, number, ...rest } = device
    assert.ok(number >= 1)
    assert.ok(createdAtUs > 1.7e15)
    assert.deepEqual(rest, { ...given, parent: 'g', tenant: 'default', isGateway: false })
    assert.deepEqual(await control.find('default', 'pump-1'), device)
    assert.equal(await control.find('other', 'pump-1'), undefined)
  })

  promise('numbers rise, and no two devices of any tenant share one', async (_, control) => {
    const numbers = []
    for (const tenant of ['default', 'other', 'default'])
      numbers.push((await control.createDevice(tenant, newDevice(numbers.length))).device.number)
    assert.deepEqual(
      numbers,
      [...new Set(numbers)].toSorted((a, b) => a - b),
    )
  })

  promise('an id exists once a tenant, however many ask at once', async (_, control) => {
    const asked = Array.from({ length: 20 }, () => control.createDevice('default', newDevice(1)))
    const answers = await Promise.allSettled(asked)
    const refused = answers.filter((answer) => answer.status === 'rejected')
    assert.equal(refused.length, 19)
    for (const { reason } of refused)
      assert.ok(hasCode('CONTROL_DEVICE_EXISTS')(reason as WeirError))
    assert.equal(await control.countDevices('default'), 1)
    await control.createDevice('other', newDevice(1))
  })

  promise('the list is paged by id, byte by byte, without gaps or repeats', async (_, control) => {
    const ids = [
      ...Array.from({ length: 25 }, (_, index) => `d${index}`),
      'D',
      'ä',
      'z',
      '-',
      'd 1',
    ]
    await Promise.all(ids.map((id) => control.createDevice('default', { id, type: 'generic' })))
    await control.createDevice('other', { id: 'elsewhere', type: 'generic' })
    const seen: string[] = []
    for (let after: string | undefined; ; after = seen.at(-1)) {
      const page = await control.listDevices('default', { after, limit: 10 })
      if (page.length === 0) break
      seen.push(...page.map((device) => device.id))
    }
    const bytewise = (a: string, b: string): number =>
      Buffer.compare(Buffer.from(a), Buffer.from(b))
    assert.deepEqual(seen, ids.toSorted(bytewise))
  })

  promise('ids that would break topics or paths are refused', async (_, control) => {
    const dots = ['', '.', '..']
    const parts = ['a/b', 'a+b', 'a#b', 'a\nb', ' a', 'a ', 'a\u0000', 'a\u202eb']
    for (const id of [...dots, ...parts, 'x'.repeat(129)]) {
      const asked = control.createDevice('default', { id, type: 'generic' })
      await assert.rejects(asked, hasCode('API_BODY_INVALID'), JSON.stringify(id))
    }
    for (const id of ['a', 'A_b-c.d:e', 'Pumpe ü 7', '泵', '😀', '...', 'x'.repeat(128)]) {
      const { device } = await control.createDevice('default', { id, type: 'generic' })
      assert.equal(device.id, id)
    }
  })

  promise('any text is either refused or comes back unchanged', async (_, control) => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'binary', maxLength: 140 }),
        fc.string({ unit: 'binary' }),
        async (id, tag) => {
          if (!tag.isWellFormed()) return
          try {
            await control.createDevice('default', { id, type: 'generic', tags: { [tag]: tag } })
          } catch (error) {
            const { code } = error as WeirError
            return assert.ok(code === 'API_BODY_INVALID' || code === 'CONTROL_DEVICE_EXISTS', code)
          }
          const found = await control.find('default', id)
          assert.deepEqual(Object.entries(found?.tags ?? {}), [[tag, tag]])
        },
      ),
      { numRuns: 50 },
    )
  })
}

const newDevice = (index: number) => ({ id: `device-${index}`, type: 'generic' })

function testSecrets(promise: Promised): void {
  promise('identify names admin, device and gateway, and nobody else', async (_, control) => {
    const device = await control.createDevice('default', { id: 'd', type: 'generic' })
    const gateway = await control.createDevice('default', {
      ...{ id: 'g', type: 'generic', isGateway: true },
    })
    const [first, second] = [await control.createAdminKey(), await control.createAdminKey()]
    assert.match(first, /^wak_[A-Za-z0-9_-]{43}$/)
    for (const key of [first, second])
      assert.deepEqual(await control.identify(key), { kind: 'admin', tenant: 'default' })
    const ofDevice = { kind: 'device', tenant: 'default', deviceId: 'd' }
    assert.deepEqual(await control.identify(device.token), ofDevice)
    const ofGateway = { kind: 'gateway', tenant: 'default', deviceId: 'g' }
    assert.deepEqual(await control.identify(gateway.token), ofGateway)
    const swapped = [device.token.replace('wdt_', 'wak_'), first.replace('wak_', 'wdt_')]
    for (const wrong of ['', 'wak_', `${first}x`, ...swapped])
      assert.equal(await control.identify(wrong), undefined)
  })

  promise('no secret is stored', async (bench, control) => {
    const { token } = await control.createDevice('default', { id: 'a', type: 'generic' })
    const key = await control.createAdminKey()
    const contents = await bench.contents()
    assert.ok(contents.includes('generic'), 'the device is there')
    for (const secret of [token, key]) assert.ok(!contents.includes(secret.slice(4)))
  })
}

function testSharing(promise: Promised, skip: string | false): void {
  promise('what was created is there after a restart', async (bench, control) => {
    const { device, token } = await control.createDevice('default', newDevice(1))
    const key = await control.createAdminKey()
    await control.close()
    const again = await bench.open()
    assert.deepEqual(await again.find('default', device.id), device)
    assert.equal((await again.identify(token))?.kind, 'device')
    assert.equal((await again.identify(key))?.kind, 'admin')
    const next = await again.createDevice('default', newDevice(2))
    assert.ok(next.device.number > device.number)
    await again.close()
  })

  promise(
    'of processes that open it at once each sees what the others created',
    async (bench, control) => {
      const others = await Promise.all([bench.open(), bench.open(), bench.open()])
      const all = [control, ...others]
      await Promise.all(all.map((one, index) => one.createDevice('default', newDevice(index))))
      for (const one of all) assert.equal(await one.countDevices('default'), all.length)
      await Promise.all(others.map((one) => one.close()))
    },
    skip,
  )
}
