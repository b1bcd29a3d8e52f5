/**
 * The whole pipeline on a simulated machine: one seed decides what devices say, when connections
 * break, when the process dies, what the disk forgets. The same seed gives the same run.
 */
import { DatabaseSync } from 'node:sqlite'
import { openControl, type SqliteControl } from '../../src/control/sqlite-control.ts'
import type { WeirError } from '../../src/errors/errors.ts'
import {
  createMemoryDisk,
  createSeededRandom,
  type MemoryDisk,
} from '../../src/world/memory-disk.ts'
import { SimulatedClock } from '../../src/world/simulated-clock.ts'
import type { Random } from '../../src/world/world.ts'
import { NO_BUG, type Bug } from './bugs.ts'
import { HttpDevice, MqttDevice, type Device, type Surroundings } from './devices.ts'
import { check, History } from './history.ts'
import { Life } from './life.ts'
import { SimulatedNetwork } from './network.ts'
import { DEVICE_IDS, PLAN } from './plan.ts'
import { ScopedClock } from './scoped-clock.ts'
import { SlowDisk } from './slow-disk.ts'
import { checkLog, checkStorage, summary } from './verdict.ts'

export interface SimulationOptions {
  seed: number
  /** Simulated minutes of faults; healing comes after. */
  minutes: number
  bug?: Bug
}

/** Simulated ms. */
const LIFE_MS_MAX = 60_000
const DOWN_MS_MAX = 8_000
const START_MS_MAX = 30_000
const HEAL_MS_MAX = 240_000
const STOP_MS_MAX = 30_000
/** A supervisor restarts a process whose log failed, after this long. */
const RESTART_MS = 2_000
const SLICE_MS = 50
const JUMP_MS_MAX = 60_000
/** The largest window, the allowed disorder and the idle timeout. */
const WINDOWS_MS = 6 * 60_000
/** After healing and two checkpoints. */
const LOG_ENTRIES_MAX = 400
const TIMERS_MAX = 60

class Process {
  readonly clock: ScopedClock
  readonly disk: SlowDisk
  readonly starting: Promise<Life>
  life: Life | undefined
  failure: Error | undefined
  isDying = false

  constructor(clock: ScopedClock, disk: SlowDisk, start: () => Promise<Life>) {
    this.clock = clock
    this.disk = disk
    this.starting = start()
    this.starting.then(
      (life) => (this.life = life),
      (error: Error) => (this.failure = error),
    )
  }
}

export class Simulation {
  readonly history = new History()
  readonly counts: Record<string, number> = {}
  readonly #options: Required<SimulationOptions>
  readonly #random: Random
  readonly #clock = new SimulatedClock()
  readonly #network: SimulatedNetwork
  readonly #catalogue = new DatabaseSync(':memory:')
  readonly #control: SqliteControl
  #devices: Device[] = []
  #disk: MemoryDisk
  #process: Process | undefined
  /** What the process named as damaged. */
  readonly #named: string[] = []
  /** The latest that the wall clock ever said. */
  #latestUs = 0
  /** From then on the log may have lost ticks at its end, which nobody misses. */
  #isDamaged = false

  constructor(options: SimulationOptions) {
    this.#options = { bug: NO_BUG, ...options }
    const { seed } = options
    this.#random = createSeededRandom(seed * 7919 + 1)
    this.#disk = createMemoryDisk({ seed: seed * 7919 + 2, capacityBytes: 64 << 20 })
    this.#network = new SimulatedNetwork(this.#clock, createSeededRandom(seed * 7919 + 3))
    const world = { clock: this.#clock, random: createSeededRandom(seed * 7919 + 4) }
    this.#control = openControl({ path: ':memory:', world })
  }

  async #device(id: string, index: number): Promise<Device> {
    const { token } = await this.#control.createDevice('default', { id, type: 'pump' })
    let serial = index * 1_000_000
    const around: Surroundings = {
      clock: this.#clock,
      random: createSeededRandom(this.#options.seed * 7919 + 100 + index),
      network: this.#network,
      serial: () => ++serial,
      ingest: () => {
        const gateway = this.#process?.life?.gateway
        return gateway && ((request) => gateway.ingest(request))
      },
    }
    return index === 3 ? new HttpDevice(id, around) : new MqttDevice(id, token, around)
  }

  /** Resolves with what happened. Throws Broken, or what no code may throw. */
  async run(): Promise<Record<string, number>> {
    const registering = DEVICE_IDS.map((id, index) => this.#device(id, index))
    await this.#clock.run(1)
    this.#devices = await Promise.all(registering)
    for (const device of this.#devices) device.start()
    const endMs = this.#clock.monotonicMs() + this.#options.minutes * 60_000
    while (this.#clock.monotonicMs() < endMs) await this.#live(endMs)
    await this.#heal()
    this.history.interpret()
    checkLog(this.#devices, this.history)
    await this.#verify()
    await this.#restart()
    await this.#verify()
    check(this.#named.length === 0, () => `named without damage: ${this.#named.join()}`)
    await this.#damage()
    return { ...this.counts, ...summary(this.#devices, this.history) }
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }

  /** One life, and how it ends. */
  async #live(endMs: number): Promise<void> {
    const random = this.#random
    const process = this.#start()
    this.#count('lives')
    if (random.unit() < 0.3) process.disk.operationsLeft = 1 + Math.floor(random.unit() * 400)
    const lifeMs = random.unit() ** 2 * LIFE_MS_MAX
    const diesMs = Math.min(this.#clock.monotonicMs() + lifeMs, endMs)
    let lastFaultMs = this.#clock.monotonicMs()
    while (this.#clock.monotonicMs() < diesMs && !process.isDying) {
      await this.#clock.run(SLICE_MS * random.unit())
      this.#checkAlive(process)
      if (process.failure !== undefined) break
      if (process.life?.gateway.commit.failure?.code === 'LOG_FLUSH_FAILED') {
        await this.#clock.run(RESTART_MS)
        this.#count('flushes failed')
        break
      }
      if (this.#clock.monotonicMs() - lastFaultMs < 1000) continue
      lastFaultMs = this.#clock.monotonicMs()
      this.#fault()
    }
    await this.#end(process)
    await this.#clock.run(random.unit() * DOWN_MS_MAX)
  }

  #start(): Process {
    const clock = new ScopedClock(this.#clock)
    const random = createSeededRandom(Math.floor(this.#random.unit() * 2 ** 31))
    const disk = new SlowDisk({
      ...{ disk: this.#disk, clock, random },
      onDeath: () => (process.isDying = true),
    })
    const process: Process = new Process(clock, disk, () =>
      Life.start({
        ...{
          clock,
          random,
          disk,
          network: this.#network,
          control: this.#control.reader,
          plan: PLAN,
        },
        ...{ catalogue: this.#catalogue, bug: this.#options.bug },
        opened: (log) => (this.#isDamaged ? Promise.resolve() : this.history.opened(log)),
        aged: (moved) => this.#count(moved > 0 ? 'moves to the object store' : 'other agings'),
        damaged: (what) => this.#named.push(what),
        failed: (error) => (process.failure = error),
        alerted: (events) => this.history.alerted(events),
        appended: (offset, bytes) => {
          if (!this.#isDamaged) this.history.appended(offset, bytes)
        },
      }),
    )
    this.#process = process
    return process
  }

  /** A start may fail for a full disk or a failed flush, and for nothing else. */
  #checkAlive({ failure, clock, life }: Process): void {
    check(clock.timerCount < TIMERS_MAX, () => `promise 5: ${clock.timerCount} timers`)
    const lost = life?.entriesLost ?? 0
    check(lost <= 0, () => `T1 the log forgot ${lost} entries before they were committed`)
    if (failure === undefined) return
    const { code = 'none' } = failure as Partial<WeirError>
    const { code: system = '' } = (failure.cause ?? failure) as { code?: string }
    const isAllowed =
      ['LOG_DISK_FULL', 'LOG_FLUSH_FAILED'].includes(code) || ['EIO', 'ENOSPC'].includes(system)
    if (!isAllowed) throw failure
    this.#count('starts refused')
  }

  #fault(): void {
    const kind = this.#random.unit()
    if (kind < 0.1) this.#network.breakOne()
    else if (kind < 0.13) this.#fill()
    else if (kind < 0.14) this.#failSync('/log/')
    else if (kind < 0.16) this.#failSync('/segments/')
    else if (kind < 0.17) this.#failSync('state.bin')
    else if (kind < 0.18) this.#jump()
  }

  /** The wall clock is wrong by up to a day, and set right again. */
  #jump(): void {
    this.#count('clock jumps')
    const byUs = Math.floor((this.#random.unit() - 0.5) * 2 * 86_400e6)
    this.#setClock(byUs)
    this.#clock.after(this.#random.unit() * JUMP_MS_MAX, () => this.#setClock(-byUs))
  }

  #setClock(byUs: number): void {
    this.#latestUs = Math.max(this.#latestUs, this.#clock.nowUs())
    this.#clock.jumpWall(byUs)
  }

  #fill(): void {
    this.#count('disks filled')
    const disk = this.#disk
    disk.setFull(this.#random.unit() < 0.5 ? 'growth' : 'allocated')
    this.#clock.after(this.#random.unit() * 10_000, () => this.#disk.setFull('no'))
  }

  #failSync(part: string): void {
    this.#count('syncs failed')
    this.#disk.failNextSync(part)
  }

  /** `kill -9`, a power cut, or a clean stop. */
  async #end(process: Process): Promise<void> {
    const kind = this.#random.unit()
    if (kind < 0.15 && process.life !== undefined && !process.isDying) {
      const { life } = process
      let isDone = false
      life.stop().then(
        () => (isDone = true),
        () => (isDone = true),
      )
      const untilMs = this.#clock.monotonicMs() + STOP_MS_MAX
      while (!isDone && this.#clock.monotonicMs() < untilMs) await this.#clock.run(SLICE_MS)
      this.#count(isDone ? 'clean stops' : 'stops that took too long')
    }
    process.clock.kill()
    process.disk.isDead = true
    this.#network.reset()
    this.#process = undefined
    if (kind < 0.6) this.#disk = this.#disk.kill()
    else {
      this.#count('power cuts')
      this.#disk = this.#disk.crash()
    }
  }

  /** No more faults: everything must come right, in bounded time. */
  async #heal(): Promise<void> {
    this.#disk.setFull('no')
    this.#disk.failNextSync('nothing is called that')
    const process = await this.#restart()
    for (const device of this.#devices) device.quit()
    const untilMs = this.#clock.monotonicMs() + HEAL_MS_MAX
    const waiting = (): number => this.#devices.reduce((sum, one) => sum + one.waiting, 0)
    while (waiting() > 0) {
      await this.#clock.run(SLICE_MS)
      this.#checkAlive(process)
      const left = waiting()
      check(this.#clock.monotonicMs() < untilMs, () => `liveness: ${left} messages wait for ever`)
    }
    await this.#settle(process)
  }

  /** Ends the process if there is one, and starts another that gets ready. */
  async #restart(): Promise<Process> {
    if (this.#process !== undefined) await this.#end(this.#process)
    const process = this.#start()
    const untilMs = this.#clock.monotonicMs() + START_MS_MAX
    // Ready comes first; answers are complete once the log's tail was replayed.
    while (process.life === undefined || (await isBehind(process.life))) {
      await this.#clock.run(SLICE_MS)
      if (process.failure !== undefined) throw process.failure
      check(this.#clock.monotonicMs() < untilMs, () => 'liveness: a start does not end')
    }
    return process
  }

  /** Time passes until all windows are closed and committed; then little may be held. */
  async #settle(process: Process): Promise<void> {
    // Every clock is right again …
    await this.#clock.run(JUMP_MS_MAX)
    // … and the watermark follows it once the partition is idle, beyond the last window.
    this.#clock.jumpWall(Math.max(0, this.#latestUs - this.#clock.nowUs()))
    for (let passedMs = 0; passedMs < WINDOWS_MS; passedMs += 1000) {
      await this.#clock.run(1000)
      this.#checkAlive(process)
    }
    const life = process.life!
    let isFlushed = false
    void life.flush().then(() => (isFlushed = true))
    const untilMs = this.#clock.monotonicMs() + HEAL_MS_MAX
    while (!isFlushed) {
      await this.#clock.run(SLICE_MS)
      check(this.#clock.monotonicMs() < untilMs, () => 'liveness: a checkpoint is never committed')
    }
    await this.#clock.run(10_000)
    const { held } = life
    const isLittle = held.lagBytes < 2000 && held.queued < 5 && held.logEntries < LOG_ENTRIES_MAX
    check(isLittle, () => `promise 5: held after healing: ${JSON.stringify(held)}`)
  }

  /** A bit of any file flips: the answers are still right, or an error names what is damaged. */
  async #damage(): Promise<void> {
    await this.#end(this.#process!)
    await this.#flip()
    this.#isDamaged = true
    this.#named.length = 0
    const process = this.#start()
    const untilMs = this.#clock.monotonicMs() + START_MS_MAX
    while (process.failure === undefined) {
      if (process.life !== undefined && !(await isBehind(process.life))) break
      await this.#clock.run(SLICE_MS)
      check(this.#clock.monotonicMs() < untilMs, () => 'liveness: a start on damage does not end')
    }
    try {
      if (process.failure !== undefined) throw process.failure
      await this.#verify()
      this.#count('damage that nobody reads')
    } catch (error) {
      const { code } = error as Partial<WeirError>
      const isNamed = code === 'DATA_FILE_DAMAGED' || this.#named.length > 0
      if (!isNamed) throw error
      this.#count('damage named')
    }
  }

  async #flip(): Promise<void> {
    const disk = this.#disk
    const files = ['/data/state.bin']
    for (const folder of ['/data/log', '/data/segments'])
      files.push(...(await disk.list(folder)).map((name) => `${folder}/${name}`))
    const path = files[Math.floor(this.#random.unit() * files.length)]!
    const file = await disk.open(path, 'read')
    const bytes = await file.size()
    if (bytes === 0) return
    const position = Math.floor(this.#random.unit() * bytes)
    disk.flipBit(path, position, Math.floor(this.#random.unit() * 8))
  }

  /** Answers are asked of a process that lives on, so time must pass while they are made. */
  async #verify(): Promise<void> {
    const { life } = this.#process!
    let verdict: { error?: unknown } | undefined
    checkStorage(life!.storage, this.history).then(
      () => (verdict = {}),
      (error: unknown) => (verdict = { error }),
    )
    while (verdict === undefined) await this.#clock.run(SLICE_MS)
    if ('error' in verdict) throw verdict.error
  }
}

/** Some of what was acknowledged is not in the answers yet. */
const isBehind = async ({ isReplaying, storage }: Life): Promise<boolean> =>
  isReplaying || (await storage.completeness()) < 1
