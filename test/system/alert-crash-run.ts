/**
 * `kill -9` between a reading and its webhook, again and again on one data folder: at any time, as
 * soon as a reading is acknowledged, when a webhook arrives (before it is answered, and right
 * behind), and in the first moments of a start. In the end every episode is in the history once,
 * who was to be told was told at least once and under one key, and of nothing that never was.
 *
 * Devices overheat and cool down in turns, one reading at a time, and send again what was not
 * acknowledged: so each knows how many episodes it had.
 */
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { WebhookReceiver } from '../../bench/webhook-receiver.ts'
import { seededRandom } from './crash-reference.ts'
import { spawnWeir, until, WeirProcess, type StartOptions } from './weir-process.ts'

/** A checkpoint is always under way. */
const CONFIG = `
alerts: { allowPrivateWebhooks: true }
log: { segmentBytes: 64 KiB }
stream: { checkpointReadings: 100, checkpointInterval: 100ms }
storage: { duckdbThreads: 1 }
`
const DEVICES_PER_ROUND = 6
const RULE = 'overheats'
const PAGE = 100
const TOLD_MS_MAX = 60_000

export interface AlertCrashRun {
  /** The data folder's parent, which the caller removes. */
  folder: string
  rounds: number
  seed: number
  say: (line: string) => void
}

export interface AlertCrashTotals {
  kills: number
  episodes: number
  alerts: number
  /** Webhooks that came, and those of them that repeated one under the same key. */
  webhooks: number
  repeats: number
}

/** Throws an AssertionError when an episode or a notification is lost, doubled or invented. */
export async function runAlertCrashes(run: AlertCrashRun): Promise<AlertCrashTotals> {
  const receiver = await WebhookReceiver.start()
  try {
    return await new AlertCrashes(run, receiver).run()
  } finally {
    receiver.stop()
  }
}

class OverheatingDevice {
  readonly id: string
  readonly #server: () => WeirProcess | undefined
  #lastMs = 0
  /** Breaches that were acknowledged. */
  episodes = 0
  isStopping = false

  constructor(id: string, server: () => WeirProcess | undefined) {
    this.id = id
    this.#server = server
  }

  /** Ends cool. */
  async run(): Promise<void> {
    while (!this.isStopping) {
      await this.#say(90)
      this.episodes++
      await this.#say(20)
    }
  }

  /** The same reading until it is acknowledged; by its time a repeat is known. */
  async #say(temperature: number): Promise<void> {
    // Of now: what is old when it arrives wakes nobody.
    this.#lastMs = Math.max(this.#lastMs + 1, Date.now())
    const body = { ts: this.#lastMs, temperature }
    for (;;) {
      const server = this.#server()
      try {
        const answer = await server?.api(`/v1/devices/${this.id}/telemetry`, { body })
        if (answer?.status === 200 || answer?.status === 202) return
      } catch {
        // It was killed in the middle.
      }
      await delay(20)
    }
  }
}

interface AlertBody {
  id: string
  device_id: string
  rule_id: string
  state: string
  occurrences: number
}

class AlertCrashes {
  readonly #run: AlertCrashRun
  readonly #receiver: WebhookReceiver
  readonly #random: () => number
  readonly #devices: OverheatingDevice[] = []
  readonly #running: Promise<void>[] = []
  #server: WeirProcess | undefined

  constructor(run: AlertCrashRun, receiver: WebhookReceiver) {
    this.#run = run
    this.#receiver = receiver
    this.#random = seededRandom(run.seed)
  }

  get #options(): StartOptions {
    return { folder: this.#run.folder, config: CONFIG }
  }

  async run(): Promise<AlertCrashTotals> {
    const { rounds, say } = this.#run
    await this.#prepare()
    try {
      for (let round = 0; round < rounds; round++) {
        await this.#live(round)
        const episodes = this.#devices.reduce((sum, one) => sum + one.episodes, 0)
        say(`round ${round + 1} of ${rounds}: ${episodes} episodes`)
      }
      this.#server = await WeirProcess.start(this.#options)
      for (const device of this.#devices) device.isStopping = true
      await Promise.all(this.#running)
      return await this.#verify(this.#server)
    } finally {
      for (const device of this.#devices) device.isStopping = true
      await this.#server?.kill()
    }
  }

  async #prepare(): Promise<void> {
    const server = await WeirProcess.start(this.#options)
    const { url, secret } = this.#receiver
    const rule = { when: 'temperature > 80', severity: 'critical' }
    const made = await server.api(`/v1/rules/${RULE}`, { method: 'PUT', body: rule })
    assert.ok(made.status < 300, made.text)
    const channels = [{ type: 'webhook', url, secret }]
    const recipient = { name: 'operator', channels, rate_limit: { messages: 10_000, per: '1m' } }
    const added = await server.api('/v1/recipients', { body: recipient })
    assert.equal(added.status, 201, added.text)
    await server.kill()
  }

  async #live(round: number): Promise<void> {
    const random = this.#random
    const process = await spawnWeir(this.#options)
    const fate = random()
    if (fate < 0.15) {
      await delay(random() * 1200)
      await process.signal('SIGKILL')
      return
    }
    const server = await WeirProcess.ready(process, this.#run.folder)
    await this.#addDevices(server, round)
    this.#server = server
    if (fate < 0.5) await this.#nextWebhook(fate < 0.3 ? 'arrives' : 'was answered')
    else await delay(random() * 600)
    assert.ok(!process.hasEnded, `weir ended by itself\n${process.output}`)
    this.#server = undefined
    await server.kill()
  }

  async #addDevices(server: WeirProcess, round: number): Promise<void> {
    for (let at = 0; at < DEVICES_PER_ROUND; at++) {
      const device = new OverheatingDevice(`oven-${round}-${at}`, () => this.#server)
      await server.register({ id: device.id })
      this.#devices.push(device)
      this.#running.push(device.run())
    }
  }

  /** Or a while, when none comes. */
  async #nextWebhook(when: 'arrives' | 'was answered'): Promise<void> {
    const came = Promise.withResolvers<void>()
    this.#receiver.onWebhook = () => came.resolve()
    await Promise.race([came.promise, delay(1500)])
    this.#receiver.onWebhook = undefined
    if (when === 'was answered') await delay(this.#random() * 5)
  }

  async #verify(server: WeirProcess): Promise<AlertCrashTotals> {
    const { webhooks } = this.#receiver
    const alerts = await this.#untilRight(server)
    const episodes = this.#devices.reduce((sum, one) => sum + one.episodes, 0)
    const ids = new Set(alerts.map(({ id }) => id))
    for (const { key, alertId } of webhooks.values())
      assert.ok(ids.has(alertId), `webhook ${key} tells of ${alertId}, which is no alert`)
    await until(
      'every alert was told',
      () => new Set([...webhooks.values()].map(({ alertId }) => alertId)).size === ids.size,
      TOLD_MS_MAX,
    )
    const keysOf = Map.groupBy(webhooks.values(), ({ alertId }) => alertId)
    for (const [id, told] of keysOf) assert.equal(told.length, 1, `alert ${id} has several keys`)
    assert.equal(this.#receiver.refused, 0)
    return {
      kills: this.#run.rounds,
      episodes,
      alerts: alerts.length,
      webhooks: this.#receiver.received,
      repeats: this.#receiver.received - webhooks.size,
    }
  }

  /** What was acknowledged last may still be on its way to the alerts. */
  async #untilRight(server: WeirProcess): Promise<AlertBody[]> {
    let wrong = 'nothing was asked'
    const right = await until(
      'all alerts are there and resolved',
      async () => {
        const alerts = await allAlerts(server)
        wrong = this.#problemOf(alerts) ?? ''
        return wrong === '' ? alerts : undefined
      },
      TOLD_MS_MAX,
    ).catch((cause: unknown) => assert.fail(`${wrong}: ${String(cause)}\n${server.running.output}`))
    for (const device of this.#devices) await this.#checkHistory(server, device, right)
    return right
  }

  #problemOf(alerts: readonly AlertBody[]): string | undefined {
    const byDevice = Map.groupBy(alerts, ({ device_id }) => device_id)
    for (const { id, episodes } of this.#devices) {
      const own = byDevice.get(id) ?? []
      if (own.length !== (episodes > 0 ? 1 : 0)) return `${id}: ${own.length} alerts`
      const [alert] = own
      if (alert === undefined) continue
      if (alert.state !== 'resolved') return `${id}: ${alert.state}`
      if (alert.occurrences !== episodes) return `${id}: ${alert.occurrences} of ${episodes}`
    }
    return undefined
  }

  /** Each episode began once and ended once. */
  async #checkHistory(
    server: WeirProcess,
    { id, episodes }: OverheatingDevice,
    alerts: readonly AlertBody[],
  ): Promise<void> {
    const alert = alerts.find(({ device_id }) => device_id === id)
    if (alert === undefined) return
    const { history } = await server.get<{ history: { what: string; episode_id?: string }[] }>(
      `/v1/alerts/${alert.id}`,
    )
    for (const kinds of [['fired', 'reopened'], ['resolved']]) {
      const of = history.filter(({ what }) => kinds.includes(what)).map((one) => one.episode_id)
      assert.equal(of.length, episodes, `${id}: ${kinds.join()} ${of.length} of ${episodes} times`)
      assert.equal(new Set(of).size, episodes, `${id}: an episode ${kinds.join()} twice`)
    }
  }
}

async function allAlerts(server: WeirProcess): Promise<AlertBody[]> {
  const all: AlertBody[] = []
  let cursor: string | null = ''
  do {
    const page: { alerts: AlertBody[]; next: string | null } = await server.get('/v1/alerts', {
      ...{ rule_id: RULE, limit: PAGE },
      ...(cursor !== '' && { cursor }),
    })
    all.push(...page.alerts)
    cursor = page.next
  } while (cursor !== null)
  return all
}
