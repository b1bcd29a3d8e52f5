/** A start that fails half-way closes what it opened: the same process can start again at once. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test, type TestContext } from 'node:test'
import { loadConfig } from '../config/config.ts'
import { defaultPlan } from '../pipeline/compile.ts'
import { withCrc } from '../sqlite/sqlite.ts'
import { startEmbedded, type Embedded } from './embedded.ts'

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weir-embedded-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A port that somebody listens on until the test ends, or until it is given back. */
async function takePort(t: TestContext): Promise<{ port: number; giveBack: () => Promise<void> }> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const giveBack = () => new Promise<void>((resolve) => server.close(() => resolve()))
  t.after(giveBack)
  return { port, giveBack }
}

interface Ports {
  http?: number
  mqtt?: number
}

function start(data: string, { http = 0, mqtt = 0 }: Ports = {}): Promise<Embedded> {
  const config = loadConfig({ flags: { data, 'http.port': http, 'mqtt.port': mqtt } })
  return startEmbedded({ config, plan: defaultPlan() })
}

/** What this process holds: files of the folder (where the system tells), threads, sockets. */
function held(folder: string): string[] {
  const numbers = process.platform === 'linux' ? readdirSync('/proc/self/fd') : []
  const files = numbers.flatMap((number) => {
    try {
      return [readlinkSync(`/proc/self/fd/${number}`)]
    } catch {
      // The one that listed the folder.
      return []
    }
  })
  const kinds = ['MessagePort', 'Worker', 'TCPServerWrap']
  return [
    ...files.filter((file) => file.startsWith(folder)),
    ...process.getActiveResourcesInfo().filter((resource) => kinds.includes(resource)),
  ]
}

/** Ports between threads close a turn later than the threads. */
async function holdsOnly(folder: string, expected: string[]): Promise<void> {
  const endMs = performance.now() + 10_000
  while (held(folder).length > expected.length && performance.now() < endMs)
    await new Promise((resolve) => setTimeout(resolve, 2))
  assert.deepEqual(held(folder), expected)
}

for (const door of ['http', 'mqtt'] as const) {
  test(`the ${door} port in use: nothing stays open, and the next start has all`, async (t) => {
    const folder = makeFolder(t)
    const { port, giveBack } = await takePort(t)
    const before = held(folder)
    await assert.rejects(start(folder, { [door]: port }), { code: 'PORT_IN_USE' })
    await holdsOnly(folder, before)
    await giveBack()
    const next = await start(folder, { [door]: port })
    assert.equal(next.isAdminKeyNew, false, 'the key of the first start')
    assert.notDeepEqual(held(folder), [])
    await next.stop()
    await holdsOnly(folder, [])
  })
}

test('a thread that cannot open its files: the reason is told, and nothing stays open', async (t) => {
  const folder = makeFolder(t)
  const first = await start(folder)
  await first.stop()
  const catalogue = new DatabaseSync(join(folder, 'catalogue.db'))
  const newer = withCrc('format', 1000)
  catalogue.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?, ?)').run(...newer)
  catalogue.close()
  await assert.rejects(start(folder), { code: 'DATA_FORMAT_NEWER' })
  await holdsOnly(folder, [])
})
