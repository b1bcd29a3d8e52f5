/** Every series and text by name and number. Grows with the fleet; the gateway limits both. */
import type { Definitions, SeriesDefinition } from '../batch/batch.ts'
import { compareDeviceIds, type ScanQuestion } from '../query/query.ts'

type ScanFilter = Omit<ScanQuestion, 'startUs' | 'endUs'>

/** Of a device or a metric. */
const keyOf = (tenant: string, name: string): string => `${tenant}\0${name}`

interface MetricSeries {
  series: SeriesDefinition[]
  /** By device; those of one in the order in which they came. */
  isSorted: boolean
}

export class SeriesDirectory {
  readonly #byDevice = new Map<string, SeriesDefinition[]>()
  readonly #byMetric = new Map<string, MetricSeries>()
  readonly #bySeries = new Map<number, SeriesDefinition>()
  readonly #texts = new Map<number, string>()
  readonly #textIds = new Map<string, number>()
  /** By name: the numbers of its series. */
  readonly #fleets = new Map<string, number[]>()
  readonly #fleetOf = new Map<number, number[]>()

  get seriesCount(): number {
    return this.#bySeries.size
  }

  /** Adds what is new and returns it; a definition that is known already is a replay. */
  add(definitions: Definitions): Definitions {
    const series = definitions.series.filter(({ series }) => !this.#bySeries.has(series))
    const texts = definitions.texts.filter(([id]) => !this.#texts.has(id))
    for (const definition of series) {
      const key = keyOf(definition.tenant, definition.deviceId)
      const known = this.#byDevice.get(key)
      if (known === undefined) this.#byDevice.set(key, [definition])
      else known.push(definition)
      this.#addToMetric(definition)
      this.#bySeries.set(definition.series, definition)
      if (definition.kind === 'number') this.#addToFleet(definition)
    }
    for (const [id, text] of texts) {
      this.#texts.set(id, text)
      this.#textIds.set(text, id)
    }
    return { series, texts }
  }

  #addToMetric(definition: SeriesDefinition): void {
    const key = keyOf(definition.tenant, definition.metric)
    const known = this.#byMetric.get(key)
    if (known === undefined) this.#byMetric.set(key, { series: [definition], isSorted: true })
    else {
      known.series.push(definition)
      known.isSorted = false
    }
  }

  ofDevice(tenant: string, deviceId: string): readonly SeriesDefinition[] {
    return this.#byDevice.get(keyOf(tenant, deviceId)) ?? []
  }

  /**
   * In the order of compareDeviceIds(); those of one device in the order in which they came. Sorted
   * when it is asked for the first time after a series came.
   */
  ofMetric(tenant: string, metric: string): readonly SeriesDefinition[] {
    const known = this.#byMetric.get(keyOf(tenant, metric))
    if (known === undefined) return []
    if (!known.isSorted) {
      known.series.sort((one, other) => compareDeviceIds(one.deviceId, other.deviceId))
      known.isSorted = true
    }
    return known.series
  }

  /** Devices that have series as asked for, and these; in the order in which they came. */
  devices({ tenant, metrics, deviceTypes, deviceIds }: ScanFilter): SeriesDefinition[][] {
    const asked: readonly (readonly SeriesDefinition[])[] =
      deviceIds === undefined
        ? [...this.#byDevice.values()]
        : [...new Set(deviceIds)].map((id) => this.ofDevice(tenant, id))
    const isAsked = (one: SeriesDefinition): boolean =>
      one.tenant === tenant &&
      (metrics?.includes(one.metric) ?? true) &&
      (deviceTypes?.includes(one.deviceType) ?? true)
    return asked.map((series) => series.filter(isAsked)).filter(({ length }) => length > 0)
  }

  /**
   * All series of numbers of one tenant, device type and metric are a fleet. Its number is that of
   * its first series, which stays: series are never forgotten, and their numbers rise.
   */
  #addToFleet({ series, tenant, deviceType, metric }: SeriesDefinition): void {
    const key = JSON.stringify([tenant, deviceType, metric])
    const fleet = this.#fleets.get(key) ?? []
    if (fleet.length === 0) this.#fleets.set(key, fleet)
    fleet.push(series)
    this.#fleetOf.set(series, fleet)
  }

  /** Of a series of numbers. */
  fleetOf(series: number): number {
    return this.#fleetOf.get(series)![0]!
  }

  /** All by their numbers, with how many series they have. */
  *fleets(): Generator<{ fleet: number; size: number }> {
    for (const members of this.#fleets.values()) yield { fleet: members[0]!, size: members.length }
  }

  get fleetCount(): number {
    return this.#fleets.size
  }

  /** By the fleet's number. */
  fleetMembers(fleet: number): readonly number[] {
    return this.#fleetOf.get(fleet) ?? []
  }

  text(id: number): string {
    return this.#texts.get(id) ?? ''
  }

  get(series: number): SeriesDefinition | undefined {
    return this.#bySeries.get(series)
  }

  isText(series: number): boolean {
    return this.#bySeries.get(series)?.kind === 'text'
  }

  textId(text: string): number | undefined {
    return this.#textIds.get(text)
  }

  /** In the order in which they came. */
  series(): SeriesDefinition[] {
    return [...this.#bySeries.values()]
  }

  all(): Definitions {
    return { series: this.series(), texts: [...this.#texts] }
  }
}
