/**
 * Every data folder that was ever recorded opens with this code and gives the answers of then; and
 * a folder of a newer version is refused, by each of its formats, with what to do.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test, type TestContext } from 'node:test'
import { crc32, zstdDecompressSync } from 'node:zlib'
import { withCrc } from '../../src/sqlite/sqlite.ts'
import { makeFolder, spawnWeir, WeirProcess, type StartOptions } from '../system/weir-process.ts'
import { answersOf, PIPELINE, type Answers } from './contents.ts'
import { unpack } from './packed-folder.ts'

/**
 * Storage kept the alerts of these, and a later version drops them (docs/deploy.md): what the log's
 * tail still holds of them is told.
 */
const WITHOUT_ALERTS = ['2026-11-format-1.json.zst', '2026-11-format-3.json.zst']

const FOLDERS = new URL('./folders/', import.meta.url)
const recorded = readdirSync(FOLDERS).toSorted()

/** Sums, whose order is nobody's promise. */
const COMPUTED = /\.(avg|stddev|score)$/
const RELATIVE_MAX = 1e-9

const pathOf = (name: string): string => new URL(name, FOLDERS).pathname

const optionsOf = (folder: string): StartOptions => ({ folder, pipeline: PIPELINE })

/** What was recorded must be in the answer; later versions may add to it. */
function assertHolds(found: unknown, wanted: unknown, where: string): void {
  if (Array.isArray(wanted)) {
    assert.ok(Array.isArray(found), where)
    assert.equal(found.length, wanted.length, `${where}: their count`)
    for (const [at, one] of wanted.entries()) assertHolds(found[at], one, `${where}[${at}]`)
  } else if (typeof wanted === 'object' && wanted !== null) {
    for (const [key, one] of Object.entries(wanted)) {
      assertHolds((found as Record<string, unknown>)[key], one, `${where}.${key}`)
    }
  } else if (typeof wanted === 'number' && COMPUTED.test(where)) {
    const isClose = Math.abs(Number(found) - wanted) <= RELATIVE_MAX * Math.abs(wanted)
    assert.ok(isClose, `${where} is ${String(found)}, not ${wanted}`)
  } else assert.equal(found, wanted, where)
}

/** As assertHolds(), and of alerts those that are there. */
function assertFewerAlerts(found: Answers, wanted: Answers, where: string): void {
  const { alerts, ...others } = wanted
  assertHolds(found, others, where)
  const known = new Map(alerts.alerts.map((alert) => [alert.id, alert]))
  for (const alert of found.alerts.alerts) {
    assertHolds(alert, known.get(alert.id), `${where}: alert ${alert.id}`)
  }
}

for (const name of recorded) {
  test(`a data folder of before opens and answers as then: ${name}`, async (t) => {
    const folder = await makeFolder(t)
    const { answers, commit } = unpack(pathOf(name), folder)
    t.diagnostic(`made by ${commit}`)
    // As it was killed, with a tail to replay; after a kill of this version; from segments alone.
    const ends = ['SIGKILL', 'SIGTERM', 'SIGTERM'] as const
    for (const [round, signal] of ends.entries()) {
      const weir = await WeirProcess.start(optionsOf(folder))
      const [found, where] = [await answersOf(weir), `${name}, opened ${round + 1} times`]
      if (WITHOUT_ALERTS.includes(name)) assertFewerAlerts(found, answers as Answers, where)
      else assertHolds(found, answers, where)
      await weir.running.signal(signal)
    }
  })
}

async function assertNewer(
  t: TestContext,
  change: (data: string) => void,
  expected: RegExp,
): Promise<void> {
  const folder = await makeFolder(t)
  // Of this version, by being opened with it once.
  unpack(pathOf(recorded.at(-1)!), folder)
  assert.equal((await (await WeirProcess.start(optionsOf(folder))).stop()).code, 0)
  change(join(folder, 'data'))
  const running = await spawnWeir(optionsOf(folder))
  assert.equal(await running.end(), 3, running.output)
  assert.match(running.stderr, /written by a newer version \(DATA_FORMAT_NEWER\)/)
  assert.match(running.stderr, expected)
  assert.match(running.stderr, /Use that version of Weir, or another folder/)
}

function change(path: string, work: (database: DatabaseSync) => void): void {
  const database = new DatabaseSync(path)
  work(database)
  database.close()
}

test('a newer log is refused', (t) =>
  assertNewer(
    t,
    (data) => {
      for (const name of readdirSync(join(data, 'log'))) {
        if (!name.endsWith('.segment')) continue
        const path = join(data, 'log', name)
        const bytes = readFileSync(path)
        for (const at of [0, 2048]) {
          bytes.writeUInt32LE(99, at + 8)
          bytes.writeUInt32LE(crc32(bytes.subarray(at + 8, at + 40)), at + 4)
        }
        writeFileSync(path, bytes)
      }
    },
    /The log is of version 99/,
  ))

test('a newer catalogue is refused', (t) =>
  assertNewer(
    t,
    (data) =>
      change(join(data, 'catalogue.db'), (database) =>
        database
          .prepare('INSERT OR REPLACE INTO meta VALUES (?, ?, ?)')
          .run(...withCrc('format', 99)),
      ),
    /catalogue\.db has format 99; this version knows up to \d/,
  ))

test('a newer registry is refused', (t) =>
  assertNewer(
    t,
    (data) =>
      change(join(data, 'control.db'), (database) => database.exec('PRAGMA user_version = 99')),
    /control\.db has format 99; this version knows up to \d/,
  ))

test('a newer state of the stream is refused', (t) =>
  assertNewer(
    t,
    (data) => {
      let state: Buffer = readFileSync(join(data, 'state.bin'))
      change(join(data, 'catalogue.db'), (database) => {
        const row = database.prepare("SELECT * FROM state_parts WHERE name = 'plan'").get()!
        const [position, length] = [Number(row['position']), Number(row['length'])]
        const stored = state.subarray(position, position + length)
        const plan = Number(row['plain_length']) > 0 ? zstdDecompressSync(stored) : stored
        const newer = Buffer.from(plan.toString().replace(/"version":\d/, '"version":9'))
        // Behind all that is there, and not compressed.
        const end = Math.ceil(state.length / 4096) * 4096
        state = Buffer.concat([state, Buffer.alloc(end - state.length), newer])
        database
          .prepare('INSERT OR REPLACE INTO state_parts VALUES (?, ?, ?, ?, ?, ?)')
          .run(...withCrc('plan', end, newer.length, crc32(newer), 0))
      })
      writeFileSync(join(data, 'state.bin'), state)
    },
    /the stream’s state has version 9/,
  ))
