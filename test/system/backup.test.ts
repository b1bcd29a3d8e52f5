/**
 * Backups of a server that works on, and what is restored of them: everything that was acknowledged
 * before a backup began is in it, also when this or the one before was cut off by `kill -9`.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { makeFolder, until, weir as command, WeirProcess } from './weir-process.ts'

const PIPELINE = `
version: 1
types: { pump: { schemas: { 1: { temperature: { unit: "°C" }, mode: { type: text, required: false } } } } }
rules: [{ id: hot, type: pump, when: "temperature > 80" }]
`
/** Commits and merges all the time. */
const BUSY = `
stream: { checkpointReadings: 2000, checkpointInterval: 200ms }
storage: { segmentReadingsTarget: 20000 }
`
const DEVICES = ['pump-1', 'pump-2', 'pump-3']
const BATCH = 200

/** What was acknowledged, by device and time, in ms. */
type Sent = Map<string, Map<number, number>>

class Load {
  readonly sent: Sent = new Map(DEVICES.map((id) => [id, new Map()]))
  /** And what may have been, when a kill cut off the answer. */
  readonly tried: Sent
  readonly #weir: WeirProcess
  #isOver = false
  #next = Date.now() - 3_600_000
  readonly #done: Promise<void>

  constructor(weir: WeirProcess, before?: Load) {
    this.#weir = weir
    this.tried = before?.tried ?? new Map(DEVICES.map((id) => [id, new Map()]))
    for (const [id, values] of before?.sent ?? []) {
      this.sent.set(id, new Map(values))
      this.#next = Math.max(this.#next, ...values.keys())
    }
    this.#done = this.#send()
  }

  async #send(): Promise<void> {
    while (!this.#isOver) {
      for (const id of DEVICES) {
        const messages = Array.from({ length: BATCH }, () => {
          const ts = ++this.#next
          return { ts, temperature: ts % 70, mode: ts % 2 === 0 ? 'on' : 'off' }
        })
        for (const { ts, temperature } of messages) this.tried.get(id)!.set(ts, temperature)
        const answer = await this.#weir
          .api(`/v1/devices/${id}/telemetry`, { body: messages })
          .catch(() => undefined)
        // Of what a kill cut off nobody knows.
        if (answer?.status !== 200) return
        for (const { ts, temperature } of messages) this.sent.get(id)!.set(ts, temperature)
      }
    }
  }

  /** What is acknowledged by now. */
  snapshot(): Sent {
    return new Map([...this.sent].map(([id, values]) => [id, new Map(values)]))
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#done
  }
}

async function backUp(weir: WeirProcess, to: string): Promise<{ copied: number; total: number }> {
  const started = await weir.api<{ id: string }>('/v1/backups', { body: { to } })
  assert.equal(started.status, 202, started.text)
  const status = await until(
    'the backup ends',
    async () => {
      const path = `/v1/backups/${started.body.id}`
      const found = await weir.get<Record<string, unknown>>(path)
      return found['state'] !== 'running' && found
    },
    60_000,
  )
  assert.equal(status['state'], 'done', JSON.stringify(status))
  return { copied: Number(status['bytes_copied']), total: Number(status['bytes_total']) }
}

async function restore(from: string, folder: string): Promise<void> {
  const running = command(['restore', '--from', from, '--data', join(folder, 'data')])
  assert.equal(await running.end(), 0, running.output)
}

/** All that was sent before is there, as it was said, and nothing that was never sent. */
async function verify(weir: WeirProcess, before: Sent, ever: Sent): Promise<void> {
  for (const [id, values] of before) {
    const points = await weir.points(id, 'temperature', { max_points: 10_000 })
    const [count] = await weir.points(id, 'temperature', { agg: 'count' })
    assert.ok(Number(count?.[1]) >= values.size, `${id}: ${String(count?.[1])} of ${values.size}`)
    for (const [ms, value] of points) assert.equal(value, ever.get(id)!.get(ms), `${id} at ${ms}`)
    const span = { start: [...values.keys()][0]!, end: [...values.keys()].at(-1)! + 1 }
    const [within] = await weir.points(id, 'temperature', { ...span, agg: 'count' })
    assert.equal(within?.[1], values.size, id)
    const [mode] = await weir.points(id, 'mode', { ...span, agg: 'last' })
    assert.equal(mode?.[1], [...values.keys()].at(-1)! % 2 === 0 ? 'on' : 'off')
  }
}

test('a backup under load holds all that was acknowledged, and goes on elsewhere', async (t) => {
  const folder = await makeFolder(t)
  const to = join(folder, 'backups')
  const weir = await WeirProcess.start({ folder, pipeline: PIPELINE, config: BUSY })
  for (const id of DEVICES) await weir.register({ id, type: 'pump' })
  await weir.register({ id: 'pump-4', type: 'pump' })
  await weir.api('/v1/devices/pump-4/telemetry', { body: { temperature: 99 } })
  const load = new Load(weir)
  await delay(1500)
  const first = await backUp(weir, to)
  assert.equal(first.copied, first.total)
  await delay(500)
  const before = load.snapshot()
  const second = await backUp(weir, to)
  assert.ok(second.copied < second.total, 'what was there is not copied again')
  await load.stop()
  await weir.stop()

  const elsewhere = join(folder, 'elsewhere')
  await mkdir(elsewhere)
  await restore(to, elsewhere)
  const restored = await WeirProcess.start({
    ...{ folder: elsewhere, pipeline: PIPELINE, config: BUSY },
  })
  await verify(restored, before, load.tried)
  assert.deepEqual(
    (await restored.episodes('pump-4')).map(({ rule_id }) => rule_id),
    ['hot'],
  )
  assert.ok(!restored.running.stderr.includes('log_end_lost'), restored.running.output)
  // It takes what comes next, after another restart too.
  const more = new Load(restored, load)
  await delay(500)
  await more.stop()
  await restored.kill()
  const again = await WeirProcess.start({ folder: elsewhere, pipeline: PIPELINE, config: BUSY })
  await verify(again, before, more.tried)
  await again.stop()
})

test('kill -9 in the middle of a backup and of a restore leaves what was there', async (t) => {
  const folder = await makeFolder(t)
  const to = join(folder, 'backups')
  let weir = await WeirProcess.start({ folder, pipeline: PIPELINE, config: BUSY })
  for (const id of DEVICES) await weir.register({ id, type: 'pump' })
  let load = new Load(weir)
  await delay(1000)
  const before = load.snapshot()
  await backUp(weir, to)
  await delay(500)
  const started = await weir.api<{ id: string }>('/v1/backups', { body: { to } })
  assert.equal(started.status, 202, started.text)
  await weir.kill()
  await load.stop()
  weir = await WeirProcess.start({ folder, pipeline: PIPELINE, config: BUSY })
  const copies = await readdir(join(folder, 'data', 'backup.tmp'))
  assert.deepEqual(copies, [], 'copies of a backup that never ended')
  load = new Load(weir, load)
  const later = load.snapshot()
  const backups = (await readdir(join(to, 'backups'))).length
  await backUp(weir, to)
  assert.equal((await readdir(join(to, 'backups'))).length, backups + 1)
  const pruned = await weir.api<{ removed: string[]; pieces: number }>(
    `/v1/backups?to=${encodeURIComponent(to)}&keep=1`,
    { method: 'DELETE' },
  )
  assert.equal(pruned.body.removed.length, backups, pruned.text)
  assert.ok(pruned.body.pieces > 0)
  const known = JSON.parse(
    await readFile(join(folder, 'data', 'backups.json'), 'utf8'),
  ) as unknown[]
  assert.equal(known.length, 1)
  await load.stop()
  await weir.stop()

  for (const [at, wait] of [0, 30, 60, 120, 250].entries()) {
    const elsewhere = join(folder, `elsewhere-${at}`)
    await mkdir(elsewhere)
    const cut = command(['restore', '--from', to, '--data', join(elsewhere, 'data')])
    await until(
      'it began, or is over',
      () => existsSync(join(elsewhere, 'data.restoring')) || cut.hasEnded,
    )
    await delay(wait)
    await cut.signal('SIGKILL')
    if (!existsSync(join(elsewhere, 'data'))) await restore(to, elsewhere)
    assert.ok(!existsSync(join(elsewhere, 'data.restoring')))
  }
  const elsewhere = join(folder, 'elsewhere-1')
  const restored = await WeirProcess.start({
    ...{ folder: elsewhere, pipeline: PIPELINE, config: BUSY },
  })
  for (const [id, values] of before)
    for (const ms of values.keys()) assert.ok(later.get(id)!.has(ms))
  await verify(restored, later, load.tried)
  await restored.stop()
})

test('what is damaged, gone or in the way is named, and nothing is changed', async (t) => {
  const folder = await makeFolder(t)
  const to = join(folder, 'backups')
  const weir = await WeirProcess.start({ folder, pipeline: PIPELINE, config: BUSY })
  await weir.register({ id: 'pump-1', type: 'pump' })
  await weir.api('/v1/devices/pump-1/telemetry', { body: { temperature: 20 } })
  await backUp(weir, to)
  const relative = await weir.api('/v1/backups', { body: { to: 'backups' } })
  assert.equal(relative.status, 400, relative.text)
  await weir.stop()

  const target = join(folder, 'target')
  const fails = async (from: string, data: string): Promise<string> => {
    const running = command(['restore', '--from', from, '--data', data])
    assert.notEqual(await running.end(), 0, running.output)
    return running.stderr
  }
  assert.match(await fails(join(folder, 'nothing'), target), /BACKUP_MISSING/)
  assert.match(await fails(to, join(folder, 'data')), /RESTORE_TARGET_EXISTS/)
  const damaged = join(folder, 'damaged')
  await cp(to, damaged, { recursive: true })
  const [piece = ''] = await readdir(join(damaged, 'pieces'))
  await writeFile(join(damaged, 'pieces', piece), 'something else')
  assert.match(await fails(damaged, target), /BACKUP_DAMAGED/)
  await rm(join(damaged, 'pieces', piece))
  assert.match(await fails(damaged, target), /BACKUP_DAMAGED.*\n.*is gone/)
  assert.ok(!existsSync(target))
})
