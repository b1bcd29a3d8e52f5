/** What every device reader must do. An adapter's test calls `testDeviceReader` with its bench. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Control, DeviceReader, PrepareNeed } from './control.ts'

export interface DeviceReaderBench {
  reader: DeviceReader
  /** The store that it reads. */
  control: Control
  /** Deletes a device behind the reader's back; creating it again gives it another token. */
  remove(id: string): Promise<void>
  close(): Promise<void>
}

export interface DeviceReaderTraits {
  name: string
  createBench(): Promise<DeviceReaderBench>
  skip?: string | undefined
}

const TENANT = 'default'

export function testDeviceReader(traits: DeviceReaderTraits): void {
  const { name, skip } = traits
  const promise = (title: string, run: (bench: DeviceReaderBench) => Promise<void>): void =>
    void test(`${title} [${name}]`, { skip: skip ?? false }, async () => {
      const bench = await traits.createBench()
      try {
        await run(bench)
      } finally {
        await bench.close()
      }
    })
  testFinding(promise)
  testTokens(promise)
}

type Promised = (title: string, run: (bench: DeviceReaderBench) => Promise<void>) => void

async function prepared(
  reader: DeviceReader,
  ids: readonly string[],
  need?: PrepareNeed,
): Promise<void> {
  await reader.prepare?.(TENANT, ids, need)
}

const create = (control: Control, id: string) =>
  control.createDevice(TENANT, { id, type: 'generic' })

function testFinding(promise: Promised): void {
  promise('R2 a device is found with everything it was given', async ({ reader, control }) => {
    const given = { id: 'pump ü', type: 'pump', location: 'Hall 3', tags: { line: 'A' } }
    const all = { ...given, parent: 'g', isGateway: true }
    const { device } = await control.createDevice(TENANT, all)
    await prepared(reader, ['pump ü'])
    assert.deepEqual(reader.find(TENANT, 'pump ü'), device)
    assert.equal(reader.prepare?.(TENANT, ['pump ü']), undefined, 'known now')
    await reader.prepare?.('other', ['pump ü'])
    assert.equal(reader.find('other', 'pump ü'), undefined)
  })

  promise('R2 one that is not registered is unknown, until it is', async ({ reader, control }) => {
    await prepared(reader, ['nobody'])
    assert.equal(reader.find(TENANT, 'nobody'), undefined)
    assert.equal(reader.prepare?.(TENANT, ['nobody']), undefined, 'known to be unknown')
    const { device } = await create(control, 'nobody')
    await prepared(reader, ['nobody'], { isNew: true })
    assert.deepEqual(reader.find(TENANT, 'nobody'), device)
  })

  promise('R2 thousands at once, registered and not', async ({ reader, control }) => {
    const ids = Array.from({ length: 2500 }, (_, index) => `d${index}`)
    const isThere = (index: number): boolean => index % 50 === 0
    await Promise.all(ids.filter((_, index) => isThere(index)).map((id) => create(control, id)))
    await prepared(reader, ids)
    for (const [index, id] of ids.entries())
      assert.equal(reader.find(TENANT, id)?.id, isThere(index) ? id : undefined)
  })

  promise('ids that nobody can have spoil nothing', async ({ reader, control }) => {
    await create(control, 'a')
    const odd = ['', '.', 'a\u0000', '\ud800', 'a/b', 'x'.repeat(100_000), "'", '{"}', '\\']
    await prepared(reader, [...odd, 'a'])
    for (const id of odd) assert.equal(reader.find(TENANT, id), undefined)
    assert.equal(reader.find(TENANT, 'a')?.id, 'a')
  })
}

function testTokens(promise: Promised): void {
  promise('authenticate takes the device’s own token, and no other', async (bench) => {
    const { reader, control } = bench
    const [a, b] = [await create(control, 'a'), await create(control, 'b')]
    const isTaken = async (id: string, token: string): Promise<boolean> => {
      await prepared(reader, [id], { token })
      return reader.authenticate(TENANT, id, token) !== undefined
    }
    assert.equal(await isTaken('a', a.token), true)
    assert.deepEqual(reader.authenticate(TENANT, 'a', a.token), a.device)
    for (const wrong of ['', 'wdt_', b.token, `${a.token}x`, a.token.toUpperCase()])
      assert.equal(await isTaken('a', wrong), false)
    assert.equal(await isTaken('nobody', a.token), false)
    await reader.prepare?.('other', ['a'], { token: a.token })
    assert.equal(reader.authenticate('other', 'a', a.token), undefined)
  })

  promise(
    'R3 a new token is taken a moment after the first refusal at the latest',
    async (bench) => {
      const { reader, control } = bench
      const { token: old } = await create(control, 'a')
      await prepared(reader, ['a'], { token: old })
      assert.ok(reader.authenticate(TENANT, 'a', old))
      await bench.remove('a')
      const { token } = await create(control, 'a')
      for (let tries = 0; ; tries++) {
        await prepared(reader, ['a'], { token })
        if (reader.authenticate(TENANT, 'a', token) !== undefined) break
        assert.ok(tries < 300, 'the new token is taken')
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      assert.equal(reader.authenticate(TENANT, 'a', old), undefined, 'and the old one is not')
    },
  )
}
