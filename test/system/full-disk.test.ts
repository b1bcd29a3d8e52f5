/**
 * A disk that fills up under load, to the last block. PUBACKs wait, HTTP says 503 with Retry-After,
 * `GET /ready` says why, queries go on; once there is room everything goes on without a restart. So
 * it does after a restart on the full disk, however the process ended before. What was acknowledged
 * is there in the end, once, also where commits failed meanwhile.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { PIPELINE } from './crash-fleet.ts'
import { FleetLoad } from './fleet-load.ts'
import { SmallDisk } from './small-disk.ts'
import { Running, until, WeirProcess, type StartOptions } from './weir-process.ts'

const DISK_MEGABYTES = 64
const REGISTRY_DISK_MEGABYTES = 8
/** A start writes its configuration to the same disk. */
const CONFIG_BYTES_MAX = 4096
/**
 * Commits all the time. The log's segments are made ahead, so for a megabyte or two
 * acknowledgements go on while no commit succeeds any more.
 */
const CONFIG = `
log: { segmentBytes: 1 MiB }
stream: { checkpointInterval: 300ms }
storage: { segmentReadingsTarget: 5000, duckdbThreads: 1 }
`
const QUIET_MS = 1000
const FLOOD_BATCH = 1000
/** Of the server's words, where the test fails. */
const OUTPUT_MAX = 20_000

test('a full disk withholds acknowledgements, says why, and passes without a restart', async (t) => {
  const disk = await SmallDisk.mount(t, DISK_MEGABYTES)
  if (typeof disk === 'string') return t.skip(disk)
  const options: StartOptions = { folder: disk.folder, config: CONFIG, pipeline: PIPELINE }
  let weir = await WeirProcess.start(options)
  let isDone = false
  t.after(() => {
    const { exitCode, signalCode } = weir.running.child
    const end = `exit code ${exitCode}, signal ${signalCode}`
    if (!isDone) t.diagnostic(`${end}\n${weir.running.output.slice(-OUTPUT_MAX)}`)
  })
  const load = await FleetLoad.begin(t, weir)
  await weir.register({ id: 'flood' })
  await until('the load runs', () => load.acknowledged > 500)
  for (const end of ['none', 'SIGKILL', 'SIGTERM'] as const) {
    const reserve = join(weir.dataFolder, 'reserve')
    await until('the room for a start is kept again', () => existsSync(reserve))
    await untilRefusing(weir, load, disk)
    // A checkpoint waits for the alerts of what it holds, and these may be the first without room.
    const isFull = /"commit_failed"|"role":"alerts".*disk is full/
    await until('a store says that it is full', () => isFull.test(weir.running.stderr))
    await checkQueries(weir, load)
    if (end !== 'none') {
      await weir.running.signal(end)
      disk.fill(CONFIG_BYTES_MAX)
      weir = await WeirProcess.start(options)
      load.server = weir
      await untilRefusing(weir, load, disk)
      await checkQueries(weir, load)
    }
    const acknowledged = load.acknowledged
    disk.free()
    await until('the load goes on', () => load.acknowledged > acknowledged + 200, 20_000)
    await until('ready again', async () => (await weir.api('/ready')).status === 200)
    const commits = await commitsOf(weir)
    await until('commits go on', async () => (await commitsOf(weir)) > commits, 20_000)
  }
  assert.match(weir.running.stderr, /"log_write_refused".*LOG_DISK_FULL/)
  assert.match(weir.running.stderr, /"log_write_recovered"/)
  await load.finish(weir)
  await checkFlood(weir)
  await weir.kill()
  const again = await WeirProcess.start(options)
  await load.verify(again)
  await checkFlood(again)
  await again.stop()
  isDone = true
})

test('a registry whose disk is full refuses, however little room is left, and does not die', async (t) => {
  const disk = await SmallDisk.mount(t, REGISTRY_DISK_MEGABYTES)
  if (typeof disk === 'string') return t.skip(disk)
  for (const leftKilobytes of [0, 5, 8, 12, 20]) {
    const path = join(disk.folder, `registry-${leftKilobytes}`)
    const writer = new Running(process.execPath, [
      ...[
        '--disable-warning=ExperimentalWarning',
        join(import.meta.dirname, 'full-disk-writer.ts'),
      ],
      path,
    ])
    await until('it is open', () => writer.stdout.includes('open'))
    disk.fill(leftKilobytes << 10)
    writer.child.stdin!.write('go on')
    const code = await writer.end()
    const said = `${leftKilobytes} KB: ${code} ${writer.child.signalCode}\n${writer.output}`
    assert.ok(code === 0 && writer.stdout.includes('CONTROL_WRITE_FAILED'), said)
    disk.free()
  }
})

/** Readings of the device `flood` that were acknowledged, one a millisecond from here on. */
const floodBeginMs = Date.now() - 3_600_000
let flooded = 0

/** As fast as it goes, until it is refused. */
async function flood(weir: WeirProcess): Promise<void> {
  for (;;) {
    const body = Array.from({ length: FLOOD_BATCH }, (_, at) => ({
      ts: floodBeginMs + flooded + at,
      metrics: { level: at },
    }))
    const { status, text } = await weir.api('/v1/devices/flood/telemetry', { body })
    if (status === 503) return
    assert.equal(status, 200, text)
    flooded += FLOOD_BATCH
  }
}

async function checkFlood(weir: WeirProcess): Promise<void> {
  const [count] = await weir.points('flood', 'level', { agg: 'count' })
  // What was refused last may be there all the same: nobody said that it is not.
  const excess = (count?.[1] as number) - flooded
  assert.ok(excess === 0 || excess === FLOOD_BATCH, `${String(count?.[1])} of ${flooded}`)
}

/**
 * Fills the disk until nothing is acknowledged any more, and checks what senders hear. A start
 * gives its reserve away, and a commit that still succeeds frees entries of the log: that room is
 * filled, too.
 */
async function untilRefusing(weir: WeirProcess, load: FleetLoad, disk: SmallDisk): Promise<void> {
  const answer = await until(
    'acknowledgements are withheld',
    async () => {
      disk.fill()
      await flood(weir)
      const before = load.acknowledged
      await delay(QUIET_MS)
      const tried = await weir.api('/v1/devices/closer/telemetry', { body: { one: 1 } })
      return load.acknowledged === before && tried.status === 503 && tried
    },
    30_000,
  )
  assert.equal(answer.body['code'], 'LOG_DISK_FULL')
  assert.ok(Number(answer.headers.get('retry-after')) > 0)
  const ready = await until('GET /ready says why', async () => {
    const found = await weir.api('/ready')
    return found.status === 503 && found
  })
  assert.match(ready.text, /The disk is full/)
  // The registry's file may have a free page; without one a registration is refused as what it is.
  const device = await weir.api('/v1/devices', { body: { id: `late-${Date.now()}`, type: 'pump' } })
  if (device.status === 201) return
  assert.equal(device.body['code'], 'CONTROL_WRITE_FAILED', device.text)
  assert.equal(device.status, 503)
  assert.ok(Number(device.headers.get('retry-after')) > 0)
}

async function checkQueries(weir: WeirProcess, load: FleetLoad): Promise<void> {
  assert.equal((await weir.api('/health')).status, 200)
  const points = await weir.points('pump-1-load', 'temperature')
  assert.ok(points.length > 0 && load.acknowledged > 0)
}

async function commitsOf(weir: WeirProcess): Promise<number> {
  const { text } = await weir.api('/metrics')
  return Number(/^weir_storage_commits_total (\d+)$/m.exec(text)?.[1])
}
