/**
 * The device list: one page of rows at a time, whatever the size of the fleet. All names are loaded
 * in the background (for search and order); latest values are asked for and followed for the shown
 * rows only.
 */
import { RequestError, type Api, type DeviceRow, type Latest } from './api.ts'
import type { PageWorld } from './browser-world.ts'
import { registerCommand, telemetryCommand } from './commands.ts'
import { byId, button, commandBlock, element, oncePerFrame, setAttributes, setText } from './dom.ts'
import { DEVICES_MAX, DeviceIndex, type DeviceOrder } from './device-index.ts'
import { ageElement, formatCount, formatValue, setAge } from './format.ts'
import { noteLatest, type Reading } from './latest.ts'

const ROWS_PER_PAGE = 12
/** Values shown in a row; the chart shows all of them. */
const VALUES_PER_ROW = 3
/** Browsers open six connections to a server, and the live one is always taken. */
const REQUESTS_AT_ONCE = 4
/** Waits for the end of typing and paging before rows are asked for. */
const SETTLE_MS = 120
/** So many times the duration of a load it rests before devices that come or go start another. */
const REST_SHARE = 20

interface Row {
  element: HTMLTableRowElement
  values: HTMLTableCellElement
  age: HTMLTableCellElement
  latest: Map<string, Latest>
}

export interface DevicesListener {
  onChoose(deviceId: string): void
  /** The devices whose rows are on the screen. */
  onShown(deviceIds: readonly string[]): void
}

export class DevicesPanel {
  readonly #api: Api
  readonly #world: PageWorld
  readonly #listener: DevicesListener
  readonly #index = new DeviceIndex()
  readonly #count = byId('devices-count')
  readonly #search = byId('devices-search', HTMLInputElement)
  readonly #order = byId('devices-order', HTMLSelectElement)
  readonly #table = byId('devices-table', HTMLTableElement)
  readonly #body = byId('devices-rows', HTMLTableSectionElement)
  readonly #empty = byId('devices-empty')
  readonly #pages = byId('devices-pages')
  readonly #pageText = byId('devices-page')
  readonly #previous = byId('devices-previous', HTMLButtonElement)
  readonly #next = byId('devices-next', HTMLButtonElement)
  readonly #changedRows = new Set<Row>()
  readonly #paintSoon = oncePerFrame(() => this.#paint())
  #rows = new Map<string, Row>()
  #firing: ReadonlySet<string> = new Set()
  #chosen: string | undefined
  #page = 0
  #isLoaded = false
  /** By the clock without jumps; Infinity while names are loaded. */
  #loadAgainMs = 0
  /** All that the server knows, loaded here or not. */
  #total = 0
  #problem = ''
  #cancelSettle: () => void = () => {}
  #round = 0

  constructor(api: Api, world: PageWorld, listener: DevicesListener) {
    this.#api = api
    this.#world = world
    this.#listener = listener
    const fromStart = (): void => this.#turnTo(0)
    this.#search.addEventListener('input', fromStart)
    this.#order.addEventListener('change', fromStart)
    this.#previous.addEventListener('click', () => this.#turnTo(this.#page - 1))
    this.#next.addEventListener('click', () => this.#turnTo(this.#page + 1))
  }

  /**
   * Loads all names, a page of the API at a time; the first rows show after the first answer.
   * Called again after the live connection was away: for new devices, and what the shown rows have
   * missed.
   */
  async load(): Promise<void> {
    const { monotonicMs } = this.#world.clock
    const startMs = monotonicMs()
    this.#loadAgainMs = Infinity
    await this.#loadAll()
    const endMs = monotonicMs()
    this.#loadAgainMs = endMs + REST_SHARE * (endMs - startMs)
  }

  /** The server has so many devices: loads the names again when some came or went. */
  async onCount(count: number): Promise<void> {
    const isDue = this.#world.clock.monotonicMs() >= this.#loadAgainMs
    if (count !== this.#total && isDue) await this.load()
  }

  async #loadAll(): Promise<void> {
    const seen = new Set<string>()
    let after: string | undefined
    try {
      do {
        const { devices, next, total } = await this.#api.devices(after)
        this.#index.add(devices)
        for (const { id } of devices) seen.add(id)
        after = next ?? undefined
        this.#total = total
        this.#problem = ''
        this.#render()
      } while (after !== undefined && seen.size < DEVICES_MAX)
      if (after === undefined) this.#index.keepOnly(seen)
      this.#isLoaded = true
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      this.#problem = `${error.message} ${error.hint}`
    }
    this.#render()
  }

  get firstId(): string | undefined {
    return this.#rows.keys().next().value
  }

  /** Type and place, when the device is known. */
  describe(deviceId: string): string {
    const device = this.#index.get(deviceId)
    return device === undefined ? '' : about(device)
  }

  choose(deviceId: string): void {
    this.#chosen = deviceId
    for (const [id, row] of this.#rows) mark(row, id === deviceId)
  }

  showFiring(firing: ReadonlySet<string>): void {
    this.#firing = firing
    if (this.#order.value === 'firing') return this.#render()
    for (const [id, row] of this.#rows) row.element.classList.toggle('is-firing', firing.has(id))
  }

  onReading(reading: Reading): void {
    const row = this.#rows.get(reading.device_id)
    if (row !== undefined) this.#note(row, reading.metric, reading)
  }

  #turnTo(page: number): void {
    this.#page = page
    this.#render()
  }

  #render(): void {
    const view = { search: this.#search.value, order: this.#order.value as DeviceOrder }
    const found = this.#index.find({ ...view, firing: this.#firing })
    const lastPage = Math.max(0, Math.ceil(found.length / ROWS_PER_PAGE) - 1)
    this.#page = Math.max(0, Math.min(lastPage, this.#page))
    const from = this.#page * ROWS_PER_PAGE
    const shown = found.slice(from, from + ROWS_PER_PAGE)
    this.#renderRows(shown)
    this.#renderCounts(found.length, from, shown.length)
    this.#renderEmpty(found.length)
    this.#settle()
  }

  #renderRows(shown: readonly DeviceRow[]): void {
    const before = this.#rows
    this.#rows = new Map(shown.map((device) => [device.id, this.#row(device, before)]))
    const wanted = [...this.#rows.values()].map((row) => row.element)
    // Replacing equal rows would lose the focus of who walks the list by keyboard.
    const isSame =
      wanted.length === this.#body.rows.length &&
      wanted.every((row, place) => row === this.#body.rows[place])
    if (!isSame) this.#body.replaceChildren(...wanted)
  }

  #row(device: DeviceRow, before: ReadonlyMap<string, Row>): Row {
    const known = before.get(device.id)
    const row = known ?? this.#makeRow(device)
    row.element.classList.toggle('is-firing', this.#firing.has(device.id))
    mark(row, device.id === this.#chosen)
    return row
  }

  #makeRow(device: DeviceRow): Row {
    const choose = button(device.id, () => this.#listener.onChoose(device.id), 'name')
    const name = element('th', { scope: 'row' }, choose, element('small', {}, about(device)))
    choose.title = device.id
    const values = element('td', { class: 'values' })
    const age = element('td', { class: 'age' })
    return { element: element('tr', {}, name, values, age), values, age, latest: new Map() }
  }

  #renderCounts(found: number, from: number, shown: number): void {
    const all = formatCount(Math.max(this.#total, this.#index.count))
    const isSearch = this.#search.value.trim() !== ''
    setText(this.#count, isSearch ? `${formatCount(found)} of ${all}` : all)
    setText(this.#pageText, `${formatCount(from + 1)}–${formatCount(from + shown)}`)
    this.#pages.hidden = found <= ROWS_PER_PAGE
    this.#previous.disabled = from === 0
    this.#next.disabled = from + shown >= found
  }

  #renderEmpty(found: number): void {
    this.#table.hidden = found === 0
    const isEmpty = found === 0 && (this.#isLoaded || this.#problem !== '')
    this.#empty.hidden = !isEmpty
    if (!isEmpty) return
    const search = this.#search.value
    const content =
      this.#problem !== ''
        ? [element('p', {}, this.#problem), button('Try again', () => void this.load())]
        : this.#index.count > 0 || search !== ''
          ? this.#nothingFound(search.trim())
          : firstDevice()
    this.#empty.replaceChildren(...content)
  }

  /** Past DEVICES_MAX not all names are here, so an exact id is asked of the server. */
  #nothingFound(search: string): Node[] {
    const ask = button(`Ask the server for “${search}”`, () => void this.#ask(search))
    return [element('p', {}, `No device matches “${search}”.`), ask]
  }

  async #ask(id: string): Promise<void> {
    try {
      this.#index.add([await this.#api.device(id)])
      this.#render()
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      this.#empty.replaceChildren(element('p', {}, `There is no device with the id “${id}”.`))
    }
  }

  /** Once the rows stand still: asks for their values and follows them. */
  #settle(): void {
    this.#cancelSettle()
    this.#cancelSettle = this.#world.clock.after(SETTLE_MS, () => {
      this.#listener.onShown([...this.#rows.keys()])
      void this.#loadLatest()
    })
  }

  async #loadLatest(): Promise<void> {
    this.#round += 1
    const round = this.#round
    const waiting = [...this.#rows]
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        if (round !== this.#round) return
        const [id, row] = next
        // One failed row must not stop the others; the connection state tells the cause.
        const metrics = await this.#api.latest(id).catch(() => ({}))
        for (const [name, latest] of Object.entries(metrics)) this.#note(row, name, latest)
        this.#changedRows.add(row)
        this.#paintSoon()
      }
    }
    await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, work))
  }

  #note(row: Row, metric: string, latest: Latest): void {
    if (noteLatest(row.latest, metric, latest) === undefined) return
    this.#changedRows.add(row)
    this.#paintSoon()
  }

  #paint(): void {
    for (const row of this.#changedRows) paintRow(row, this.#api.nowMs())
    this.#changedRows.clear()
  }
}

const about = (device: DeviceRow): string =>
  [device.type, device.location].filter(Boolean).join(' · ')

function mark(row: Row, isChosen: boolean): void {
  setAttributes(row.element, { 'aria-current': isChosen ? 'true' : undefined })
}

function paintRow(row: Row, nowMs: number): void {
  const names = [...row.latest.keys()].sort()
  if (names.length === 0) return row.values.replaceChildren(element('small', {}, 'no readings yet'))
  const shown = names.slice(0, VALUES_PER_ROW)
  const cells = shown.map((name) => {
    const latest = row.latest.get(name)
    const text = formatValue(latest?.value ?? null, latest?.unit)
    return element('span', { class: 'value' }, element('small', {}, name), element('b', {}, text))
  })
  if (names.length > shown.length) {
    cells.push(element('small', {}, `+${names.length - shown.length}`))
  }
  row.values.replaceChildren(...cells)
  const lastMs = Math.max(...[...row.latest.values()].map((latest) => latest.ts))
  const age = row.age.firstElementChild
  if (age instanceof HTMLTimeElement) setAge(age, lastMs, nowMs)
  else row.age.replaceChildren(ageElement(lastMs, nowMs))
}

/** What a newcomer does first: register a device, then speak for it. */
function firstDevice(): Node[] {
  return [
    element('p', {}, 'No devices yet. Register the first one; the answer holds its token:'),
    commandBlock(registerCommand('sensor-1')),
    element('p', {}, 'Then send its first reading:'),
    commandBlock(telemetryCommand('sensor-1')),
  ]
}
