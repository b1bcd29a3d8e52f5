/**
 * What rules must know of devices and series: which series a device has, what the registry says of
 * it, and which devices a rule can concern, so that neither a new series looks at all rules nor a
 * new rule at all series.
 */
import type { DeviceFacts, SeriesDefinition, ValueKind } from '../batch/batch.ts'
import type { Rule } from '../pipeline/pipeline.ts'
import type { LiveRule } from './rule-book.ts'

/** What the series of one metric, kind and device type have in common. */
export interface SeriesKey {
  metric: string
  kind: ValueKind
  deviceType: string
  /** Of metric and kind. */
  name: string
}

export interface DeviceName {
  tenant: string
  deviceId: string
  deviceType: string
}

/** Ascending by their order, each. */
export interface DeviceRules {
  all: readonly LiveRule[]
  /** Those that are more than one comparison. The same list where it is the same rules. */
  interpreted: readonly LiveRule[]
  silences: readonly LiveRule[]
  /** Those that look at a series of a key. */
  byKey: ReadonlyMap<SeriesKey, readonly LiveRule[]>
  /** Some ask for tags. */
  hasTags: boolean
}

const NO_RULES: DeviceRules = {
  ...{ all: [], interpreted: [], silences: [], byKey: new Map(), hasTags: false },
}

export const metricKey = (metric: string, kind: ValueKind): string => `${kind} ${metric}`

/** The metrics that a rule looks at. */
export const metricKeysOf = ({ variables }: Rule): Set<string> =>
  new Set(
    variables.flatMap((one) => (one.of === 'device' ? [] : [metricKey(one.metric, one.kind)])),
  )

export class WatchedDevices {
  readonly deviceOf: Uint32Array
  readonly facts = new Map<number, DeviceFacts>()
  readonly #names: (DeviceName | undefined)[] = []
  /** Number of a series' key, plus 1. */
  readonly #keyOf: Uint32Array
  readonly #keys: SeriesKey[] = []
  readonly #keyNumbers = new Map<string, number>()
  /** First series of a device and next of a series, plus 1. */
  readonly #first: Uint32Array
  readonly #next: Uint32Array
  readonly #byId = new Map<string, number[]>()
  readonly #byMetric = new Map<string, number[]>()
  readonly #fleet = new Map<string, Set<LiveRule>>()
  readonly #ofDevice = new Map<string, Set<LiveRule>>()
  /** Of any device, and of any of a type, which the registry may change. */
  readonly #silences = new Set<LiveRule>()
  readonly #typedSilences = new Set<LiveRule>()
  /** By the keys of a device's series. */
  readonly #classes = new Map<string, DeviceRules>()

  constructor({ seriesMax, deviceMax }: { seriesMax: number; deviceMax: number }) {
    this.deviceOf = new Uint32Array(seriesMax)
    this.#keyOf = new Uint32Array(seriesMax)
    this.#next = new Uint32Array(seriesMax)
    this.#first = new Uint32Array(deviceMax)
  }

  /** True when it is new. */
  add(definition: SeriesDefinition): boolean {
    const { series, device, tenant, deviceId, deviceType, metric, kind } = definition
    if (this.#keyOf[series] !== 0) return false
    const name = metricKey(metric, kind)
    this.#keyOf[series] = this.#keyNumber({ metric, kind, deviceType, name }) + 1
    this.deviceOf[series] = device
    this.#next[series] = this.#first[device]!
    this.#first[device] = series + 1
    push(this.#byMetric, name, device)
    if (this.#names[device] === undefined) {
      this.#names[device] = { tenant, deviceId, deviceType }
      push(this.#byId, deviceId, device)
      // The number may have been another's, in a partition that was divided.
      if (this.facts.get(device)?.deviceId !== deviceId) this.facts.delete(device)
    }
    return true
  }

  /** Undefined before its first series. */
  name(device: number): DeviceName | undefined {
    return this.#names[device]
  }

  typeOf(device: number): string {
    return this.facts.get(device)?.deviceType ?? this.#names[device]?.deviceType ?? ''
  }

  keyOf(series: number): SeriesKey {
    return this.#keys[this.#keyOf[series]! - 1]!
  }

  *seriesOf(device: number): Generator<number> {
    for (let next = this.#first[device]!; next > 0; next = this.#next[next - 1]!) yield next - 1
  }

  /** All devices that have a series. */
  *all(): Generator<number> {
    for (const device of this.#names.keys()) if (this.#names[device] !== undefined) yield device
  }

  addRule(live: LiveRule): void {
    this.#classes.clear()
    for (const rules of this.#places(live)) rules.add(live)
  }

  removeRule(live: LiveRule): void {
    this.#classes.clear()
    for (const rules of this.#places(live)) rules.delete(live)
  }

  /** The devices that a rule may concern; some more than once. */
  *candidates({ rule, metricKeys }: LiveRule): Generator<number> {
    if (rule.deviceIds !== undefined)
      for (const id of rule.deviceIds) yield* this.#byId.get(id) ?? []
    else if (rule.on === 'silence') yield* this.all()
    else for (const key of metricKeys) yield* this.#byMetric.get(key) ?? []
  }

  /** The rules that concern a device. */
  rulesOf(device: number): DeviceRules {
    const name = this.#names[device]
    if (name === undefined) return NO_RULES
    const fleet = this.#fleetRules(device)
    const own = [...(this.#ofDevice.get(name.deviceId) ?? [])]
    if (own.length === 0 && this.#typedSilences.size === 0 && !fleet.hasTags) return fleet
    const isOf = ({ rule }: LiveRule): boolean =>
      this.#isOfType(device, rule) && this.#hasTags(device, rule)
    const others = [...own, ...this.#typedSilences].filter(isOf)
    const join = (some: readonly LiveRule[], more: readonly LiveRule[]): readonly LiveRule[] => {
      const kept = fleet.hasTags ? some.filter(isOf) : some
      return more.length === 0 ? kept : [...kept, ...more].sort((a, b) => a.order - b.order)
    }
    const looksAt = ({ rule, metricKeys }: LiveRule, key: SeriesKey): boolean =>
      metricKeys.has(key.name) && (rule.type === undefined || rule.type === key.deviceType)
    const interpreted = others.filter(({ isDirect, rule }) => !isDirect && rule.on !== 'silence')
    return {
      all: join(fleet.all, others),
      interpreted: join(fleet.interpreted, interpreted),
      silences: join(
        fleet.silences,
        others.filter(({ rule }) => rule.on === 'silence'),
      ),
      hasTags: fleet.hasTags,
      byKey: new Map(
        [...fleet.byKey].map(([key, some]) => [
          key,
          join(
            some,
            others.filter((live) => looksAt(live, key)),
          ),
        ]),
      ),
    }
  }

  /** Rules on any device that has such series, computed once for all that have the same ones. */
  #fleetRules(device: number): DeviceRules {
    let text = ''
    for (const series of this.seriesOf(device)) text += `${this.#keyOf[series]} `
    const known = this.#classes.get(text)
    if (known !== undefined) return known
    const keys = new Set([...this.seriesOf(device)].map((series) => this.keyOf(series)))
    const byKey = new Map(
      [...keys].map((key) => {
        const rules = [...(this.#fleet.get(key.name) ?? [])]
          .filter(({ rule }) => rule.type === undefined || rule.type === key.deviceType)
          .sort((a, b) => a.order - b.order)
        return [key, rules] as const
      }),
    )
    const silences = [...this.#silences].sort((a, b) => a.order - b.order)
    const onReadings = new Set([...byKey.values()].flat())
    const all = [...onReadings, ...silences].sort((a, b) => a.order - b.order)
    const fleet = {
      interpreted: all.filter(({ isDirect, rule }) => !isDirect && rule.on !== 'silence'),
      ...{ all, byKey, silences },
      hasTags: all.some(({ rule }) => Object.keys(rule.tags).length > 0),
    }
    this.#classes.set(text, fleet)
    return fleet
  }

  #isOfType(device: number, { on, type }: Rule): boolean {
    if (type === undefined) return true
    if (on === 'silence') return this.typeOf(device) === type
    for (const series of this.seriesOf(device))
      if (this.keyOf(series).deviceType === type) return true
    return false
  }

  #hasTags(device: number, { tags }: Rule): boolean {
    const actual = this.facts.get(device)?.tags
    for (const tag in tags) if (actual?.[tag] !== tags[tag]) return false
    return true
  }

  /** The lists that a rule stands in. */
  #places(live: LiveRule): Set<LiveRule>[] {
    const { deviceIds, on, type } = live.rule
    if (deviceIds !== undefined) return deviceIds.map((id) => setAt(this.#ofDevice, id))
    if (on === 'silence') return [type === undefined ? this.#silences : this.#typedSilences]
    return [...live.metricKeys].map((key) => setAt(this.#fleet, key))
  }

  #keyNumber(key: SeriesKey): number {
    const text = JSON.stringify([key.name, key.deviceType])
    let number = this.#keyNumbers.get(text)
    if (number === undefined) {
      number = this.#keys.push(key) - 1
      this.#keyNumbers.set(text, number)
    }
    return number
  }
}

function push(lists: Map<string, number[]>, key: string, value: number): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else if (list.at(-1) !== value) list.push(value)
}

function setAt(sets: Map<string, Set<LiveRule>>, key: string): Set<LiveRule> {
  let set = sets.get(key)
  if (set === undefined) sets.set(key, (set = new Set()))
  return set
}
