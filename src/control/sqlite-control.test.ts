import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { nodeWorld } from '../world/node-world.ts'
import { openControl, openDeviceReader } from './sqlite-control.ts'

const folder = mkdtempSync(join(tmpdir(), 'weir-control-'))
after(() => rmSync(folder, { recursive: true }))

let files = 0
const newPath = (): string => join(folder, `control-${files++}.db`)
const open = (path = newPath()) => openControl({ path, world: nodeWorld })
const code = (expected: string) => (error: { code?: string }) => error.code === expected

test('a created device is found with everything it was given, and after a restart too', () => {
  const path = newPath()
  const control = open(path)
  const given = { id: 'pump-1', type: 'pump', location: 'Hall 3', tags: { line: 'A' }, parent: 'g' }
  const { device, token } = control.createDevice('default', given)
  assert.match(token, /^wdt_[A-Za-z0-9_-]{43}$/)
  assert.deepEqual(
    { ...device, createdAtUs: 0 },
    { ...given, number: 1, tenant: 'default', isGateway: false, createdAtUs: 0 },
  )
  control.close()
  const again = open(path)
  assert.deepEqual(again.find('default', 'pump-1'), device)
  assert.equal(again.find('other', 'pump-1'), undefined)
  again.close()
})

test('numbers are dense, and a refused creation uses none', () => {
  const control = open()
  control.createDevice('default', { id: 'a', type: 'generic' })
  assert.throws(
    () => control.createDevice('default', { id: 'a', type: 'generic' }),
    code('CONTROL_DEVICE_EXISTS'),
  )
  assert.equal(control.createDevice('default', { id: 'b', type: 'generic' }).device.number, 2)
  assert.equal(control.countDevices('default'), 2)
  control.close()
})

test('a token authenticates its own device only, and no secret stands in the file', () => {
  const path = newPath()
  const control = open(path)
  const a = control.createDevice('default', { id: 'a', type: 'generic' })
  const b = control.createDevice('default', { id: 'b', type: 'generic' })
  const key = control.createAdminKey()
  assert.equal(control.authenticate('default', 'a', a.token)?.id, 'a')
  assert.equal(control.authenticate('default', 'a', b.token), undefined)
  assert.equal(control.authenticate('other', 'a', a.token), undefined)
  assert.equal(control.authenticate('default', 'a', ''), undefined)
  assert.equal(control.authenticate('default', 'nobody', a.token), undefined)
  control.close()
  const bytes = readFileSync(path).toString('latin1')
  for (const secret of [a.token, b.token, key]) assert.ok(!bytes.includes(secret.slice(4)))
})

test('identify names admin, device and gateway, and nobody else', () => {
  const control = open()
  const device = control.createDevice('default', { id: 'd', type: 'generic' })
  const gateway = control.createDevice('default', { id: 'g', type: 'generic', isGateway: true })
  const [first, second] = [control.createAdminKey(), control.createAdminKey()]
  assert.match(first, /^wak_[A-Za-z0-9_-]{43}$/)
  for (const key of [first, second])
    assert.deepEqual(control.identify(key), { kind: 'admin', tenant: 'default' })
  assert.deepEqual(control.identify(device.token), {
    kind: 'device',
    tenant: 'default',
    deviceId: 'd',
  })
  assert.deepEqual(control.identify(gateway.token), {
    kind: 'gateway',
    tenant: 'default',
    deviceId: 'g',
  })
  for (const wrong of [
    '',
    'wak_',
    `${first}x`,
    device.token.replace('wdt_', 'wak_'),
    first.replace('wak_', 'wdt_'),
  ]) {
    assert.equal(control.identify(wrong), undefined)
  }
  control.close()
})

test('the list is paged by id without gaps or repeats', () => {
  const control = open()
  const ids = Array.from({ length: 25 }, (_, index) => `d${index}`)
  for (const id of ids) control.createDevice('default', { id, type: 'generic' })
  control.createDevice('other', { id: 'elsewhere', type: 'generic' })
  const seen: string[] = []
  for (let after: string | undefined; ; after = seen.at(-1)) {
    const page = control.listDevices('default', { after, limit: 10 })
    if (page.length === 0) break
    seen.push(...page.map((device) => device.id))
  }
  assert.deepEqual(seen, ids.toSorted())
  control.close()
})

test('ids that would break topics or paths are refused', () => {
  const control = open()
  const refused = [
    '',
    '.',
    '..',
    'a/b',
    'a+b',
    'a#b',
    'a\nb',
    ' a',
    'a ',
    'a\u0000',
    'a\u202eb',
    'x'.repeat(129),
  ]
  for (const id of refused) {
    assert.throws(
      () => control.createDevice('default', { id, type: 'generic' }),
      code('API_BODY_INVALID'),
      JSON.stringify(id),
    )
  }
  for (const id of ['a', 'A_b-c.d:e', 'Pumpe ü 7', '泵', '😀', '...', 'x'.repeat(128)]) {
    assert.equal(control.createDevice('default', { id, type: 'generic' }).device.id, id)
  }
  control.close()
})

test('any text is either refused or comes back unchanged', () => {
  const control = open()
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 140 }),
      fc.string({ unit: 'binary' }),
      (id, tag) => {
        if (control.find('default', id) !== undefined || !tag.isWellFormed()) return
        try {
          control.createDevice('default', { id, type: 'generic', tags: { [tag]: tag } })
        } catch (error) {
          return assert.ok(code('API_BODY_INVALID')(error as { code?: string }))
        }
        assert.deepEqual(Object.entries(control.find('default', id)?.tags ?? {}), [[tag, tag]])
      },
    ),
    { numRuns: 50 },
  )
  control.close()
})

test('a reader on another thread sees a device once durable() resolved', async () => {
  const path = newPath()
  const control = open(path)
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { openDeviceReader } from ${JSON.stringify(new URL('./sqlite-control.ts', import.meta.url).href)}
    const reader = openDeviceReader({ path: workerData })
    parentPort.on('message', ({ id, token }) =>
      parentPort.postMessage(reader.authenticate('default', id, token)?.number))
  `
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: path,
  })
  for (let round = 1; round <= 20; round++) {
    const { token } = control.createDevice('default', { id: `d${round}`, type: 'generic' })
    await control.durable()
    const answer = new Promise((resolve) => worker.once('message', resolve))
    worker.postMessage({ id: `d${round}`, token })
    assert.equal(await answer, round)
  }
  await worker.terminate()
  control.close()
})

test('a reader cannot write', () => {
  const path = newPath()
  open(path).close()
  const reader = openDeviceReader({ path })
  assert.equal('createDevice' in reader, false)
  assert.equal(reader.find('default', 'a'), undefined)
  reader.close()
})

test('a newer format is refused and left as it was', () => {
  const path = newPath()
  const database = new DatabaseSync(path)
  database.exec('PRAGMA user_version = 99')
  database.close()
  const before = readFileSync(path)
  assert.throws(() => open(path), code('DATA_FORMAT_NEWER'))
  assert.throws(() => openDeviceReader({ path }), code('DATA_FORMAT_NEWER'))
  assert.deepEqual(readFileSync(path), before)
})

test('a damaged file is named', () => {
  const path = newPath()
  writeFileSync(path, 'no database at all '.repeat(100))
  assert.throws(() => open(path), code('DATA_FILE_DAMAGED'))
})

test('commits are flushed: WAL and synchronous=FULL', () => {
  const path = newPath()
  const control = open(path)
  const database = (control as unknown as { database: DatabaseSync }).database
  assert.equal(database.prepare('PRAGMA journal_mode').get()?.['journal_mode'], 'wal')
  assert.equal(database.prepare('PRAGMA synchronous').get()?.['synchronous'], 2)
  control.close()
})
