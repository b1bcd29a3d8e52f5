/**
 * The dictionaries behind the numbers in a frame: series and texts. A number is dense, durable and
 * never reused: its definition travels in the frame that first uses it, so it is exactly as
 * durable as the readings that need it. What the registry says of devices travels beside them.
 */
import type {
  Definitions,
  DeviceFacts,
  RuleChange,
  SeriesDefinition,
  ValueKind,
} from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import type { DeviceState } from './device-state.ts'
import { JSON_BYTES_MAX } from './frame-room.ts'

export interface DictionaryLimits {
  seriesMax: number
  seriesPerDeviceMax: number
  textsMax: number
  /** Of the definitions that wait for their frame. */
  definitionBytesMax: number
  /** Of the facts of devices in one frame. */
  factsBytesMax: number
}

export type Dimensions = [string, string][]

/** A series keeps them for ever; measurement, path and host of Telegraf's plugins have a tenth. */
const DIMENSIONS_CHARACTERS_MAX = 1024
/** Brackets, commas and the id around a text. */
const TEXT_ENVELOPE_BYTES = 24

const KINDS: readonly ValueKind[] = ['number', 'boolean', 'text']

/** The name of a series inside its device; NUL cannot stand in a metric's or a tag's name. */
export function seriesKey(metric: string, dimensions: Dimensions): string {
  return dimensions.length === 0 ? metric : `${metric}\0${JSON.stringify(dimensions)}`
}

export class Dictionary {
  readonly #limits: DictionaryLimits
  readonly #texts = new Map<string, number>()
  readonly #restored = new Map<number, SeriesDefinition[]>()
  #kinds = new Uint8Array(1024)
  #isKnown = new Uint8Array(1024)
  #nextSeries = 0
  #nextText = 0
  #newSeries: SeriesDefinition[] = []
  #newTexts: [number, string][] = []
  #newRules: RuleChange[] = []
  /** At most what the new definitions take in the next frame, without the facts. */
  newBytes = 0
  /** In the order in which they were learnt, each as JSON would have it. */
  #newFacts: { facts: DeviceFacts; bytes: number }[] = []
  #factsBytes = 0

  constructor(limits: DictionaryLimits) {
    this.#limits = limits
  }

  /** What is known from before: from storage, then from the frames of the log's tail. */
  restore(definitions: Definitions): void {
    for (const definition of definitions.series) {
      if (this.isKnown(definition.series)) continue
      const ofDevice = this.#restored.get(definition.device)
      if (ofDevice) ofDevice.push(definition)
      else this.#restored.set(definition.device, [definition])
      this.#setKind(definition.series, definition.kind)
      this.#nextSeries = Math.max(this.#nextSeries, definition.series + 1)
    }
    for (const [id, text] of definitions.texts) {
      this.#texts.set(text, id)
      this.#nextText = Math.max(this.#nextText, id + 1)
    }
  }

  /** Whether the number of a series has a definition. */
  isKnown(series: number): boolean {
    return this.#isKnown[series] === 1
  }

  /** Never gives these numbers of texts, since an entry that was lost may have given them. */
  skipTexts(count: number): void {
    this.#nextText += count
  }

  /** Hands a device the series it had before. Called once, when the device is first seen. */
  adopt(device: DeviceState): void {
    for (const definition of this.#restored.get(device.number) ?? []) {
      this.#give(device, definition)
    }
    this.#restored.delete(device.number)
  }

  /** 0 number, 1 boolean, 2 text. */
  kindCode(series: number): number {
    return this.#kinds[series]!
  }

  kindOf(series: number): ValueKind {
    return KINDS[this.#kinds[series] ?? 0] ?? 'number'
  }

  /** Throws SERIES_LIMIT and TELEMETRY_LIMIT_EXCEEDED. */
  defineSeries(
    device: DeviceState,
    what: { metric: string; dimensions: Dimensions; kind: ValueKind },
  ): number {
    if (device.series.size >= this.#limits.seriesPerDeviceMax) {
      throw new WeirError(
        'SERIES_LIMIT',
        `device ${device.id} has ${device.series.size} series; ${what.metric} would be one more`,
      )
    }
    if (this.#nextSeries >= this.#limits.seriesMax) {
      throw new WeirError('SERIES_LIMIT', `all ${this.#limits.seriesMax} series are in use`)
    }
    const definition: SeriesDefinition = {
      series: this.#nextSeries,
      device: device.number,
      tenant: device.tenant,
      deviceId: device.id,
      deviceType: device.type.name,
      ...what,
    }
    this.newBytes += this.#bytesOf(definition)
    this.#nextSeries++
    this.#setKind(definition.series, definition.kind)
    this.#newSeries.push(definition)
    this.#give(device, definition)
    return definition.series
  }

  /** Throws when the dimensions are no names, or when the next frame has no room for it. */
  #bytesOf(definition: SeriesDefinition): number {
    if (JSON.stringify(definition.dimensions).length > DIMENSIONS_CHARACTERS_MAX) {
      const detail = `dimensions of more than ${DIMENSIONS_CHARACTERS_MAX} characters`
      throw new WeirError('TELEMETRY_LIMIT_EXCEEDED', detail)
    }
    const bytes = bytesOf(definition)
    if (this.newBytes + bytes <= this.#limits.definitionBytesMax) return bytes
    const detail = 'more new series than fit into one entry of the log: send smaller bodies'
    throw new WeirError('TELEMETRY_LIMIT_EXCEEDED', detail)
  }

  /** Number of a text. Throws TEXT_LIMIT. */
  text(text: string): number {
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    if (this.#texts.size >= this.#limits.textsMax) {
      throw new WeirError('TEXT_LIMIT', `all ${this.#limits.textsMax} different texts are in use`)
    }
    const id = this.#nextText++
    this.#texts.set(text, id)
    this.#newTexts.push([id, text])
    this.newBytes += text.length * JSON_BYTES_MAX + TEXT_ENVELOPE_BYTES
    return id
  }

  /** Throws TELEMETRY_LIMIT_EXCEEDED. */
  changeRules(changes: readonly RuleChange[]): void {
    const bytes = Buffer.byteLength(JSON.stringify(changes))
    if (this.newBytes + bytes > this.#limits.definitionBytesMax) {
      const detail = 'more rules at once than fit into one entry of the log'
      throw new WeirError('TELEMETRY_LIMIT_EXCEEDED', detail)
    }
    this.newBytes += bytes
    this.#newRules.push(...changes)
  }

  /**
   * What the registry says of a device goes into the next frame that has room for it. Tags that
   * are more than a frame takes are left out.
   */
  tellFacts(facts: DeviceFacts): void {
    const { factsBytesMax } = this.#limits
    let told = facts
    let bytes = bytesOf(told)
    if (bytes > factsBytesMax) bytes = bytesOf((told = { ...facts, tags: {} }))
    this.#newFacts.push({ facts: told, bytes })
    this.#factsBytes += bytes
  }

  /** Whether facts wait for more than the next frame: it should be sealed soon. */
  get hasManyFacts(): boolean {
    return this.#factsBytes >= this.#limits.factsBytesMax
  }

  /**
   * Definitions since the last call; they go into the frame that is being sealed. Facts beyond its
   * room go into the frames behind, where they may come later than the first messages.
   */
  takeNew(): Definitions | undefined {
    const [series, texts, rules] = [this.#newSeries, this.#newTexts, this.#newRules]
    const devices = this.#newFacts.length > 0 ? this.#takeFacts() : []
    if (series.length + texts.length + rules.length + devices.length === 0) return undefined
    this.#newSeries = []
    this.#newTexts = []
    this.#newRules = []
    this.newBytes = 0
    const told = { ...(devices.length > 0 && { devices }), ...(rules.length > 0 && { rules }) }
    return { series, texts, ...told }
  }

  #takeFacts(): DeviceFacts[] {
    let bytes = 0
    let count = 0
    for (const one of this.#newFacts) {
      if (count > 0 && bytes + one.bytes > this.#limits.factsBytesMax) break
      bytes += one.bytes
      count++
    }
    this.#factsBytes -= bytes
    return this.#newFacts.splice(0, count).map(({ facts }) => facts)
  }

  #give(device: DeviceState, definition: SeriesDefinition): void {
    device.series.set(seriesKey(definition.metric, definition.dimensions), definition.series)
    if (definition.dimensions.length > 0) return
    const index = device.type.indexOf(definition.metric)
    if (index >= 0) device.setSeriesAt(index, definition.series)
  }

  #setKind(series: number, kind: ValueKind): void {
    if (series >= this.#kinds.length) {
      const length = Math.max(this.#kinds.length * 2, series + 1)
      this.#kinds = grown(this.#kinds, length)
      this.#isKnown = grown(this.#isKnown, length)
    }
    this.#kinds[series] = KINDS.indexOf(kind)
    this.#isKnown[series] = 1
  }
}

/** With the comma behind it. */
const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value)) + 1

function grown(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length)
  larger.set(bytes)
  return larger
}
