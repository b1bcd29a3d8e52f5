/**
 * `kill -9` under load, again and again on one data folder: also in the first milliseconds, while
 * the log is replayed, and while checkpoints, segments, merges and trims happen, which here is
 * always. In the end what is stored is compared with what was acknowledged, and windows, rule
 * events and anomalies with a naive reference.
 *
 * A long run takes its devices in fleets, each for a stretch of rounds: one answer of the API holds
 * the rule events of so many. A fleet is verified when it goes, and all of them at the end.
 */
import assert from 'node:assert/strict'
import { watch } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  closeWindows,
  count,
  describe,
  isProbe,
  openFleet,
  PIPELINE,
  verifyFleet,
  type Span,
} from './crash-fleet.ts'
import type { Device, Surroundings } from './crash-load.ts'
import { seededRandom } from './crash-reference.ts'
import { spawnWeir, WeirProcess, type StartOptions } from './weir-process.ts'

/**
 * So small that a commit, a merge or a trim is always under way. The lives take turns: commits of a
 * few readings all the time, and commits behind which several log segments become free.
 */
const STREAMS = [
  '{ checkpointReadings: 300, checkpointInterval: 100ms }',
  '{ checkpointInterval: 1s }',
]
const configOf = (life: number): string => `
log: { segmentBytes: 64 KiB }
stream: ${STREAMS[life % STREAMS.length]}
storage: { segmentReadingsTarget: 5000, duckdbThreads: 1 }
`

/** Event time runs so much faster than the clock, and begins so far back for each fleet to come. */
const EVENT_SPEED = 12
const EVENT_BEGIN_MS = 45 * 60_000
/** Before the first event time: what is late is at most so late. */
const LATE_MS_MAX = 30 * 60_000
const ROUNDS_PER_FLEET = 25
/**
 * From this share of the last fleet's rounds on devices without a clock take part; they make all
 * others late.
 */
const PROBES_FROM = 0.7

export interface CrashRun {
  /** The data folder's parent, which the caller removes. */
  folder: string
  rounds: number
  seed: number
  /** Told of each round and each verification that passed. */
  say: (line: string) => void
}

export interface CrashTotals {
  kills: number
  killsBeforeReady: number
  messages: number
  repeats: number
  refused: number
  /** Series whose readings were compared one by one, counted at each comparison. */
  seriesCompared: number
}

/** Resolves when nothing is lost, doubled or miscounted; throws an AssertionError otherwise. */
export async function runCrashes(run: CrashRun): Promise<CrashTotals> {
  return new Crashes(run).run()
}

class Crashes {
  readonly #run: CrashRun
  readonly #random: () => number
  readonly #beginMs = Date.now()
  readonly #eventBeginMs: number
  readonly #around: Surroundings
  readonly #fleets: Device[][] = []
  #ports = { http: 1, mqtt: 1 }
  #killsBeforeReady = 0
  #seriesCompared = 0

  constructor(run: CrashRun) {
    this.#run = run
    this.#random = seededRandom(run.seed)
    this.#eventBeginMs = this.#beginMs - EVENT_BEGIN_MS * Math.ceil(run.rounds / ROUNDS_PER_FLEET)
    this.#around = {
      random: this.#random,
      ports: () => this.#ports,
      eventNowUs: () => this.#eventNowMs() * 1000,
    }
  }

  #eventNowMs(): number {
    return this.#eventBeginMs + (Date.now() - this.#beginMs) * EVENT_SPEED
  }

  #optionsOf(life: number): StartOptions {
    return { folder: this.#run.folder, config: configOf(life), pipeline: PIPELINE }
  }

  async run(): Promise<CrashTotals> {
    const { rounds } = this.#run
    try {
      for (let from = 0; from < rounds; from += ROUNDS_PER_FLEET) {
        await this.#runFleet(from, Math.min(rounds, from + ROUNDS_PER_FLEET))
      }
      await this.#verifyAll()
    } finally {
      for (const device of this.#fleets.flat()) device.abandon()
    }
    return this.#totals()
  }

  /** Opens a fleet, kills the server in each of its rounds, and verifies it. */
  async #runFleet(from: number, to: number): Promise<void> {
    const isLast = to === this.#run.rounds
    const first = await WeirProcess.start(this.#optionsOf(from))
    const devices = await openFleet(first, this.#around, `of-${this.#fleets.length}`)
    if (from === 0) await first.register({ id: 'closer' })
    this.#fleets.push(devices)
    await first.kill()
    const running: Promise<void>[] = []
    const begin = (which: Device[]): void => void running.push(...which.map((one) => one.run()))
    begin(devices.filter((one) => !isProbe(one)))
    const probesFrom = from + Math.floor((to - from) * PROBES_FROM)
    for (let round = from; round < to; round++) {
      if (isLast && round === probesFrom) begin(devices.filter(isProbe))
      await this.#live(round)
      this.#ports = { http: 1, mqtt: 1 }
      this.#run.say(`round ${round + 1} of ${this.#run.rounds}: ${describe(devices)}`)
    }
    const weir = await WeirProcess.start(this.#optionsOf(from))
    this.#ports = weir
    for (const device of devices) device.isStopping = true
    await Promise.all(running)
    // The last fleet is verified with all the others.
    if (!isLast) {
      const toMs = Math.floor(this.#eventNowMs())
      await closeWindows(weir, toMs)
      await this.#verify(weir, devices, { fromMs: this.#eventBeginMs - LATE_MS_MAX, toMs })
      this.#run.say(`fleet ${this.#fleets.length} is right`)
    }
    await weir.kill()
    this.#ports = { http: 1, mqtt: 1 }
  }

  /**
   * One life: a fifth end before the process is ready, some just behind that, some within
   * milliseconds of the first file of a commit or merge, the others at any time.
   */
  async #live(round: number): Promise<void> {
    const random = this.#random
    const process = await spawnWeir(this.#optionsOf(round))
    const fate = random()
    if (fate < 0.2) {
      this.#killsBeforeReady++
      await delay(random() * 1_500)
      await process.signal('SIGKILL')
      return
    }
    const weir = await WeirProcess.ready(process, this.#run.folder)
    this.#ports = weir
    if (fate < 0.3) await delay(random() * 150)
    else await delay(200 + random() * 1_200)
    if (fate > 0.6) {
      await nextSegmentFile(weir)
      await delay(random() * 25)
    }
    assert.ok(!process.hasEnded, `weir ended by itself\n${process.output}`)
    await weir.kill()
  }

  /** From three states: as it came, the log's tail replayed, and everything in segments. */
  async #verifyAll(): Promise<void> {
    let weir = await WeirProcess.start(this.#optionsOf(0))
    await closeWindows(weir, Date.now())
    const span = { fromMs: this.#eventBeginMs - LATE_MS_MAX, toMs: Date.now() }
    const verify = async (state: string): Promise<void> => {
      for (const devices of this.#fleets) await this.#verify(weir, devices, span)
      this.#run.say(`all is right ${state}`)
    }
    await verify('as it came')
    await weir.kill()
    weir = await WeirProcess.start(this.#optionsOf(0))
    await verify('after a replay')
    assert.equal((await weir.stop()).code, 0)
    weir = await WeirProcess.start(this.#optionsOf(0))
    await verify('from segments')
    await weir.stop()
  }

  async #verify(weir: WeirProcess, devices: Device[], span: Span): Promise<void> {
    this.#seriesCompared += await verifyFleet(weir, devices, span)
  }

  #totals(): CrashTotals {
    const devices = this.#fleets.flat()
    return {
      kills: this.#run.rounds,
      killsBeforeReady: this.#killsBeforeReady,
      messages: count(devices, ({ sent }) => sent.length),
      repeats: count(devices, ({ repeats }) => repeats),
      refused: count(devices, ({ refused }) => refused.length),
      seriesCompared: this.#seriesCompared,
    }
  }
}

/** Resolves when a file comes or goes among the segments, or after 3 s without. */
async function nextSegmentFile({ dataFolder }: WeirProcess): Promise<void> {
  const changed = Promise.withResolvers<void>()
  const watcher = watch(join(dataFolder, 'segments'), () => changed.resolve())
  const giveUp = setTimeout(changed.resolve, 3_000)
  await changed.promise
  clearTimeout(giveUp)
  watcher.close()
}
