/**
 * The stream stage: a pure, synchronous function of the log. No clock, no chance, no disk: time is
 * the ingest time that the gateway wrote into the frame, so the same entries give the same outputs
 * after any restart (S1).
 *
 *   frame → the clock moved: tick (what waits in rules, watermark, expiry) → definitions
 *         → each message: repeat? → watermark → each reading: fate → window │ late │ dirty
 *                                                            └→ detectors, rules
 *
 * An exception leaves the state undefined: the caller must drop the processor and restore another.
 */
import { decodeFrame, MESSAGE_HISTORICAL, type ReadingBatch } from '../batch/batch.ts'
import type { Definitions } from '../batch/batch.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { collectParts, hasSameWindows, restoreParts, savedPlan } from './checkpoint.ts'
import type { Stores } from './checkpoint.ts'
import { clockStep } from './clock-steps.ts'
import { observeTime } from './deduplication.ts'
import { Detectors } from './detectors.ts'
import { Directory } from './directory.ts'
import { DirtyRanges } from './dirty-ranges.ts'
import { Expiry } from './expiry.ts'
import { Identities } from './identities.ts'
import { LatePartials } from './late-partials.ts'
import type { StreamLimits } from './limits.ts'
import { PartialRows } from './partial-rows.ts'
import { RuleEngine } from './rule-engine.ts'
import { SERIES_DETECTED, SERIES_RULED, SERIES_WATCHED, SERIES_WINDOWED } from './series-flags.ts'
import {
  CHUNK_MASK,
  CHUNK_SHIFT,
  HIGHEST,
  LAST_INGEST,
  SERIES_PER_CHUNK,
  SeriesState,
} from './series-state.ts'
import * as words from './stream.ts'
import type { Checkpoint, StreamOutput } from './stream.ts'
import { noCounts, type StreamStatistics } from './statistics.ts'
import { Warming, WARMED_READINGS } from './warming.ts'
import { Watermark } from './watermark.ts'
import { addToWindow, slotAt, slotsNeeded, Windows } from './windows.ts'

export class StreamProcessor {
  readonly #plan: Plan
  readonly #limits: StreamLimits
  readonly #rows = new PartialRows()
  readonly #watermark: Watermark
  readonly #state: SeriesState
  readonly #windows: Windows
  readonly #late: LatePartials
  readonly #dirty: DirtyRanges
  readonly #identities: Identities
  readonly #rules: RuleEngine
  readonly #detectors: Detectors
  readonly #directory: Directory
  readonly #stores: Stores
  readonly #warming: Warming
  #fates: Uint8Array<ArrayBuffer> | undefined
  readonly #expiry: Expiry
  #readingsSinceCheckpoint = 0
  #checkpointUs = -Infinity
  #ingestUs = -Infinity
  readonly #counts = noCounts()

  constructor(options: { plan: Plan; limits: StreamLimits }) {
    const { plan, limits } = options
    this.#plan = plan
    this.#limits = limits
    this.#watermark = new Watermark(plan.time)
    const sizesUs = plan.windowsMs.map((size) => size * 1000)
    const slots = slotsNeeded(sizesUs[0]!, this.#watermark.disorderUs)
    this.#state = new SeriesState(limits.seriesMax, { slots, sizes: sizesUs.length })
    this.#windows = new Windows(sizesUs, this.#state, this.#rows)
    this.#late = new LatePartials(plan.windowsMs, limits.latePartialsMax, this.#rows)
    this.#dirty = new DirtyRanges(plan.windowsMs.at(-1)!)
    this.#identities = new Identities(limits.deviceMax)
    const flags = new Uint8Array(limits.seriesMax)
    const newestOf = (series: number): number => this.#state.newestOf(series)
    this.#rules = new RuleEngine({ rules: plan.rules, time: plan.time, limits, flags, newestOf })
    this.#detectors = new Detectors(plan.detectors, limits.seriesMax)
    const watchers = { rules: this.#rules, detectors: this.#detectors }
    this.#directory = new Directory({ limits, flags, ...watchers })
    this.#warming = new Warming(this.#state)
    this.#stores = {
      state: this.#state,
      rules: this.#rules,
      detectors: this.#detectors,
      late: this.#late,
      identities: this.#identities,
    }
    this.#expiry = new Expiry(this.#stores, limits.stateTtlUs)
  }

  /** Takes one log entry; entries come in the log's order, each once. */
  process(offset: number, frame: Uint8Array<ArrayBuffer>): StreamOutput {
    const batch = decodeFrame(frame)
    const { definitions, baseIngestTimeUs } = batch
    this.#tick(baseIngestTimeUs)
    if (definitions !== undefined) this.#directory.define(definitions, baseIngestTimeUs)
    this.#processMessages(batch)
    this.#late.flush()
    this.#readingsSinceCheckpoint += batch.readingCount
    this.#counts.readings += batch.readingCount
    this.#counts.partials += this.#rows.count
    const fates = this.#fates
    this.#fates = undefined
    const anomalies = this.#detectors.take()
    const ruleEvents = this.#rules.take()
    this.#counts.ruleEvents += ruleEvents.length
    this.#counts.anomalies += anomalies.length
    const dirty = this.#dirty.take()
    const closed = this.#windows.takeClosed()
    const partials = this.#rows.take()
    return { offset, frame, fates, partials, ruleEvents, anomalies, dirty, closed }
  }

  /** Whether a checkpoint is due: by readings, or by ingest time, since the last one. */
  get shouldCheckpoint(): boolean {
    if (this.#readingsSinceCheckpoint >= this.#limits.checkpointReadings) return true
    return this.#ingestUs - this.#checkpointUs >= this.#limits.checkpointIntervalUs
  }

  /** The state after `offset`, the entry processed last: copies of what changed since the last. */
  checkpoint(offset: number): Checkpoint {
    this.#readingsSinceCheckpoint = 0
    this.#checkpointUs = this.#ingestUs
    return {
      offset,
      parts: collectParts(this.#stores, savedPlan(this.#plan, this.#stores), this.#clock()),
    }
  }

  /** Takes over all parts of a checkpoint and all definitions up to it or beyond. Call it first. */
  restore(parts: Checkpoint['parts'], definitions: Definitions): void {
    // Rules and facts that the checkpoint does not know come again in the log.
    const { series, texts } = definitions
    this.#directory.define({ series, texts }, this.#ingestUs)
    const mine = savedPlan(this.#plan, this.#stores)
    const restored = restoreParts(this.#stores, parts, { current: mine, definitions })
    if (restored === undefined) return
    const { plan, clock } = restored
    this.#ingestUs = clock[0]!
    this.#checkpointUs = clock[0]!
    this.#watermark.watermarkUs = clock[1]!
    this.#watermark.highestEventUs = clock[2]!
    this.#watermark.lastIngestUs = clock[3]!
    this.#expiry.cursor = clock[4]!
    this.#expiry.nextSweepUs = clock[5]!
    if (hasSameWindows(plan, mine)) {
      this.#windows.emittedUpToUs.set(clock.subarray(6))
      this.#windows.rebuild()
    } else this.#replaceWindows(clock.subarray(6))
  }

  /**
   * Instead of restore(), when the state was lost: `floors` has the highest event time that is
   * stored of each series (NaN: none). At or below it every reading is unverified.
   */
  restart(floors: Float64Array, definitions: Definitions): void {
    this.#directory.define(definitions, this.#ingestUs)
    this.#state.restoreFloors(floors)
  }

  statistics(): StreamStatistics {
    const held = Object.values(this.#stores).reduce((sum, { bytesHeld }) => sum + bytesHeld, 0)
    return {
      ...this.#counts,
      latePartialsHeld: this.#late.count,
      seriesCount: this.#directory.count,
      stateBytes: held,
      watermarkUs: this.#watermark.watermarkUs,
    }
  }

  /** Nothing happens while the clock stands still, so however many frames share a time. */
  #tick(ingestUs: number): void {
    const stepUs = clockStep(this.#ingestUs, ingestUs)
    if (stepUs !== 0) this.#shift(stepUs, ingestUs)
    else if (ingestUs <= this.#ingestUs) return
    const passedUs = stepUs === 0 ? ingestUs - this.#ingestUs : 0
    this.#ingestUs = ingestUs
    if (this.#checkpointUs === -Infinity) this.#checkpointUs = ingestUs
    // What fell due before now happens before what windows say now.
    this.#rules.tick(ingestUs)
    if (this.#watermark.tick(ingestUs, passedUs)) this.#closeWindows(ingestUs)
    this.#expiry.tick(ingestUs)
  }

  /**
   * See `clock-steps.ts`. Event times, and with them windows, have nothing to do with it. Messages
   * behind the step may share a frame with those before it, so they had the new time already:
   * nothing is moved beyond now.
   */
  #shift(stepUs: number, nowUs: number): void {
    this.#checkpointUs += stepUs
    this.#watermark.lastIngestUs = Math.min(this.#watermark.lastIngestUs + stepUs, nowUs)
    this.#expiry.nextSweepUs += stepUs
    this.#state.shift(stepUs, nowUs)
    this.#identities.shift(stepUs, nowUs)
    this.#rules.shift(stepUs, nowUs)
  }

  #closeWindows(ingestUs: number): void {
    const { watermarkUs } = this.#watermark
    if (watermarkUs < this.#windows.closesAtUs) return
    const fromRow = this.#rows.count
    this.#windows.closeThrough(watermarkUs)
    if (this.#rules.hasWindows)
      this.#rules.closeWindows(this.#rows.reserve(0), [fromRow, this.#rows.count], ingestUs)
    const pastUs = watermarkUs - this.#plan.time.allowedLatenessUs
    for (const [k, size] of this.#windows.sizesUs.entries())
      this.#late.expire(k, (pastUs - size) / 1000)
  }

  #processMessages(batch: ReadingBatch): void {
    const { messageCount, baseIngestTimeUs, eventTimeUs, ingestDeltaUs, flags } = batch
    const { readingsInMessage } = batch
    const hasIdentities = batch.identityHigh !== undefined
    const { hasSilence, bands } = this.#rules
    let from = 0
    let warmUntil = 0
    for (let message = 0; message < messageCount; message++) {
      const to = from + readingsInMessage[message]!
      if (from >= warmUntil) {
        warmUntil = Math.min(from + WARMED_READINGS, batch.readingCount)
        this.#warming.touch(batch.series, [from, warmUntil], bands)
      }
      const eventUs = eventTimeUs[message]!
      const ingestUs = baseIngestTimeUs + ingestDeltaUs[message]!
      const isHistorical = (flags[message]! & MESSAGE_HISTORICAL) !== 0
      if (hasSilence && !isHistorical) this.#rules.hear(batch.device[message]!, ingestUs)
      // A repeat, too, says how far time has come.
      if (!isHistorical && this.#watermark.observe(eventUs, ingestUs)) this.#closeWindows(ingestUs)
      if (hasIdentities && this.#isRepeat(batch, message, ingestUs)) {
        this.#counts.duplicates += to - from
        this.#fatesOf(batch).fill(words.FATE_DUPLICATE, from, to)
      } else if (isHistorical) {
        this.#processHistorical(batch, from, to, eventUs, ingestUs)
      } else this.#processMessage(batch, from, to, eventUs, ingestUs)
      from = to
    }
  }

  /**
   * The hot loop. All readings of a message share its times, so the window is looked up once; what
   * is rare (a repeat, late, watched) leaves the loop through a call.
   */
  #processMessage(
    batch: ReadingBatch,
    from: number,
    to: number,
    eventUs: number,
    ingestUs: number,
  ): void {
    const { hot, cold, changed, hotStride, coldStride } = this.#state
    const { flags } = this.#directory
    const { series, value } = batch
    const slot = this.#windows.slotOf(eventUs)
    if (slot >= 0) this.#warming.slot = slot
    const windowAt = slotAt(slot)
    const firstAt = this.#state.firstAt(slot)
    const isAlertable = eventUs >= ingestUs - this.#plan.time.alertStalenessUs
    for (let reading = from; reading < to; reading++) {
      const one = series[reading]!
      const flag = flags[one]
      if (!flag) this.#directory.of(one)
      const index = one >> CHUNK_SHIFT
      const chunk = hot[index] ?? this.#state.wake(index)
      const coldChunk = cold[index]!
      const base = (one & CHUNK_MASK) * hotStride
      const coldBase = (one & CHUNK_MASK) * coldStride
      const newestUs = chunk[base + HIGHEST]!
      const fate = observeTime(chunk, base, coldChunk, coldBase, eventUs)
      chunk[base + LAST_INGEST] = ingestUs
      changed[index] = 1
      if (fate !== words.FATE_FRESH) {
        this.#setAside(batch, reading, fate, eventUs)
        continue
      }
      if ((flag! & SERIES_WINDOWED) !== 0) {
        if (slot < 0) this.#addLate(one, eventUs, value[reading]!)
        else {
          const at = base + windowAt
          const first = coldBase + firstAt
          if (addToWindow(chunk, at, coldChunk, first, eventUs, value[reading]!))
            this.#windows.opened(slot, one)
        }
      }
      if ((flag! & SERIES_WATCHED) === 0) continue
      if (!isAlertable) {
        if ((flag! & SERIES_RULED) !== 0) this.#rules.pass(one, newestUs)
        continue
      }
      if ((flag! & SERIES_RULED) !== 0)
        this.#rules.observe(one, value[reading]!, eventUs, ingestUs, newestUs)
      if ((flag! & SERIES_DETECTED) !== 0) this.#detectors.observe(one, value[reading]!, eventUs)
    }
    this.#rules.endMessage(eventUs, ingestUs)
  }

  /** Any past is believed: deduplicated and stored; its windows come from storage. */
  #processHistorical(
    batch: ReadingBatch,
    from: number,
    to: number,
    eventUs: number,
    ingestUs: number,
  ): void {
    for (let reading = from; reading < to; reading++) {
      const one = batch.series[reading]!
      this.#directory.of(one)
      const index = one >> CHUNK_SHIFT
      const { hot, cold, changed, hotStride, coldStride } = this.#state
      const chunk = hot[index] ?? this.#state.wake(index)
      const base = (one & CHUNK_MASK) * hotStride
      const newestUs = chunk[base + HIGHEST]!
      const fate = observeTime(chunk, base, cold[index]!, (one & CHUNK_MASK) * coldStride, eventUs)
      chunk[base + LAST_INGEST] = ingestUs
      changed[index] = 1
      if (fate !== words.FATE_FRESH) this.#setAside(batch, reading, fate, eventUs)
      else {
        this.#counts.historical++
        this.#markDirty(one, eventUs)
        if (this.#rules.isWatched(one)) this.#rules.pass(one, newestUs)
      }
    }
  }

  /** A duplicate is dropped; what nobody can verify is stored and its windows are recomputed. */
  #setAside(batch: ReadingBatch, reading: number, fate: number, eventUs: number): void {
    this.#fatesOf(batch)[reading] = fate
    if (fate === words.FATE_DUPLICATE) {
      this.#counts.duplicates++
      return
    }
    this.#counts.unverified++
    this.#markDirty(batch.series[reading]!, eventUs)
  }

  #markDirty(series: number, eventUs: number): void {
    if ((this.#directory.flags[series]! & SERIES_WINDOWED) !== 0) this.#dirty.mark(series, eventUs)
  }

  /** Per window size: still open, late, or too late. */
  #addLate(series: number, eventUs: number, value: number): void {
    this.#counts.late++
    const openUntilUs = this.#watermark.watermarkUs - this.#plan.time.allowedLatenessUs
    let isTooLate = false
    for (const [k, size] of this.#windows.sizesUs.entries()) {
      const startUs = Math.floor(eventUs / size) * size
      if (startUs >= this.#windows.emittedUpToUs[k]!)
        this.#windows.addLate(k, series, eventUs, value)
      else if (
        startUs + size <= openUntilUs ||
        !this.#late.add(k, startUs / 1000, series, eventUs, value)
      )
        isTooLate = true
    }
    if (!isTooLate) return
    this.#counts.tooLate++
    this.#dirty.mark(series, eventUs)
  }

  #isRepeat(batch: ReadingBatch, message: number, ingestUs: number): boolean {
    const high = batch.identityHigh![message]!
    const low = batch.identityLow![message]!
    if (high === 0 && low === 0) return false
    return this.#identities.isRepeat(batch.device[message]!, high, low, ingestUs)
  }

  #fatesOf(batch: ReadingBatch): Uint8Array {
    return (this.#fates ??= new Uint8Array(batch.readingCount))
  }

  /** The plan's windows changed: those that were open are computed from storage. */
  #replaceWindows(emittedUpToUs: Float64Array): void {
    this.#windows.closeThrough(this.#watermark.watermarkUs)
    const fromUs = Math.min(...emittedUpToUs, ...this.#windows.emittedUpToUs)
    if (fromUs === -Infinity) return
    const { hot, hotStride } = this.#state
    for (const [index, chunk] of hot.entries()) {
      if (chunk === undefined) continue
      for (let row = 0; row < SERIES_PER_CHUNK; row++) {
        const highestUs = chunk[row * hotStride + HIGHEST]!
        const series = index * SERIES_PER_CHUNK + row
        const isWindowed = (this.#directory.flags[series]! & SERIES_WINDOWED) !== 0
        if (isWindowed && highestUs >= fromUs) this.#dirty.markRange(series, fromUs, highestUs)
      }
    }
  }

  #clock(): Float64Array {
    const { watermarkUs, highestEventUs, lastIngestUs } = this.#watermark
    const times = [this.#ingestUs, watermarkUs, highestEventUs, lastIngestUs]
    const sweep = [this.#expiry.cursor, this.#expiry.nextSweepUs]
    return Float64Array.from([...times, ...sweep, ...this.#windows.emittedUpToUs])
  }
}
