import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { nodeWorld } from '../world/node-world.ts'
import { testControl } from './control.conformance.ts'
import { definition, testDatabase } from './database.conformance.ts'
import { startWriter } from './database-writer-fixture.ts'
import { testDeviceReader } from './device-reader.conformance.ts'
import { openWriter } from './schema.ts'
import { openControl, openDeviceReader } from './sqlite-control.ts'

const folder = mkdtempSync(join(tmpdir(), 'weir-control-'))
after(() => rmSync(folder, { recursive: true }))

let files = 0
const newPath = (): string => join(folder, `control-${files++}.db`)
const open = (path = newPath()) => openControl({ path, world: nodeWorld })
const code = (expected: string) => (error: { code?: string }) => error.code === expected

testControl({
  name: 'SQLite',
  isShared: false,
  async createBench() {
    const path = newPath()
    return {
      open: async () => open(path),
      contents: async () =>
        [path, `${path}-wal`].map((file) => readFileSync(file).toString('latin1')).join(''),
    }
  },
})

testDatabase({
  name: 'SQLite',
  isShared: false,
  async createBench() {
    const path = newPath()
    return { open: async () => open(path).database, startWriter: () => startWriter({ path }) }
  },
})

test('D4 a definition that was changed behind the store is left out and named, not told', async () => {
  const path = newPath()
  const writer = open(path)
  const values = ['a', 'b'].map((id) => definition(id, 1, { value: '{"secret":"s3cr3t"}' }))
  await writer.database.write(values.map((put) => ({ table: 'definition', put })))
  await writer.close()
  const raw = new DatabaseSync(path)
  raw.exec(`UPDATE definition SET revision = 3 WHERE id = 'a'`)
  raw.close()
  const problems: string[] = []
  const onDamage = (problem: string): void => void problems.push(problem)
  const control = openControl({ path, world: nodeWorld, onDamage })
  const rows = await control.database.select('definition', '', [])
  assert.deepEqual(
    rows.map(({ id }) => id),
    ['b'],
  )
  assert.equal(problems.length, 1)
  assert.match(problems[0]!, /definition .*"id":"a"/)
  assert.doesNotMatch(problems[0]!, /s3cr3t/)
  await control.close()
})

test('D5 writes of one turn share a flush', async () => {
  const path = newPath()
  const control = open(path)
  const puts = Array.from({ length: 500 }, (_, at) => definition(`r${at}`, 1))
  await Promise.all(puts.map((put) => control.database.write([{ table: 'definition', put }])))
  const { length } = readFileSync(`${path}-wal`)
  assert.ok(length < 500 * 4096, `${length} bytes of log`)
  await control.close()
})

test('numbers are dense, and a refused creation uses none', async () => {
  const control = open()
  await control.createDevice('default', { id: 'a', type: 'generic' })
  const again = control.createDevice('default', { id: 'a', type: 'generic' })
  await assert.rejects(again, code('CONTROL_DEVICE_EXISTS'))
  const next = await control.createDevice('default', { id: 'b', type: 'generic' })
  assert.equal(next.device.number, 2)
  await control.close()
})

testDeviceReader({
  name: 'SQLite',
  async createBench() {
    const path = newPath()
    const control = open(path)
    const reader = openDeviceReader({ path })
    return {
      ...{ reader, control },
      async remove(id) {
        const database = new DatabaseSync(path)
        database.prepare('DELETE FROM device WHERE id = ?').run(id)
        database.close()
      },
      async close() {
        await reader.close()
        await control.close()
      },
    }
  },
})

test('a fleet that registers at once shares its flushes', async () => {
  const path = newPath()
  const control = open(path)
  const ids = Array.from({ length: 500 }, (_, index) => `d${index}`)
  await Promise.all(ids.map((id) => control.createDevice('default', { id, type: 'generic' })))
  // One commit is one frame of the log a changed page: far fewer than one a device.
  const { length } = readFileSync(`${path}-wal`)
  assert.ok(length < 500 * 4096, `${length} bytes of log`)
  await control.close()
})

test('a reader on another thread sees a device once its creation resolved', async () => {
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
    const id = `d${round}`
    const { token } = await control.createDevice('default', { id, type: 'generic' })
    const answer = new Promise((resolve) => worker.once('message', resolve))
    worker.postMessage({ id, token })
    assert.equal(await answer, round)
  }
  await worker.terminate()
  await control.close()
})

test('a reader cannot write', async () => {
  const path = newPath()
  await open(path).close()
  const reader = openDeviceReader({ path })
  assert.equal('createDevice' in reader, false)
  assert.equal(reader.find('default', 'a'), undefined)
  await reader.close()
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

test('commits are flushed: WAL and synchronous=FULL', async () => {
  const path = newPath()
  const control = open(path)
  const database = openWriter(path, { mustExist: true })
  assert.equal(database.prepare('PRAGMA journal_mode').get()?.['journal_mode'], 'wal')
  assert.equal(database.prepare('PRAGMA synchronous').get()?.['synchronous'], 2)
  database.close()
  await control.close()
})
