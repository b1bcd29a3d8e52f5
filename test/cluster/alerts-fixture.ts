/** An installation whose control processes make alerts, somebody who is told, and devices. */
import assert from 'node:assert/strict'
import { WebhookReceiver } from '../../bench/webhook-receiver.ts'
import { until, type WeirProcess } from '../system/weir-process.ts'
import { Installation, type InstallationOptions, type Owner } from './cluster-process.ts'

/** No repeat of a reading is believed to be late, whenever it is sent. */
export const PIPELINE = `
version: 1
time: { alertStaleness: 1d }
windows: [1m]
`
const SETTINGS = 'alerts: { allowPrivateWebhooks: true }'

export interface AlertBody {
  id: string
  device_id: string
  rule_id: string
  state: string
  occurrences: number
  acknowledged: { by: string } | null
}

export class AlertInstallation {
  readonly at: Installation
  readonly receiver: WebhookReceiver
  #nowMs = Date.now() - 600_000

  /** Roles by the names of their processes. */
  static async open(
    t: Owner,
    roles: Readonly<Record<string, string>>,
    { more = '', ...options }: InstallationOptions = {},
  ): Promise<AlertInstallation> {
    const at = await Installation.open(t, {
      ...{ pipeline: PIPELINE, more: `${SETTINGS}\n${more}`, ...options },
    })
    const receiver = await WebhookReceiver.start()
    t.after(async () => receiver.stop())
    await Promise.all(Object.entries(roles).map(([name, role]) => at.start(role, name)))
    return new AlertInstallation(at, receiver)
  }

  private constructor(at: Installation, receiver: WebhookReceiver) {
    this.at = at
    this.receiver = receiver
  }

  process(name: string): WeirProcess {
    return this.at.process(name)
  }

  /** The control process that makes alerts, once there is one. */
  async holder(names: readonly string[]): Promise<string> {
    const isActive = (name: string): Promise<number> =>
      this.process(name).metric('weir_alerts_is_active')
    return until('a process has the alerts', async () => {
      for (const name of names) if ((await isActive(name)) === 1) return name
      return undefined
    })
  }

  async putRule(name: string, id: string, rule: Record<string, unknown>): Promise<void> {
    const answer = await this.process(name).api(`/v1/rules/${id}`, { method: 'PUT', body: rule })
    assert.ok(answer.status < 300, answer.text)
  }

  /** Who hears of everything at once. */
  async addRecipient(name: string): Promise<void> {
    const { url, secret } = this.receiver
    const channels = [{ type: 'webhook', url, secret }]
    const rate_limit = { messages: 10_000, per: '1m' }
    const body = { name: 'operator', channels, rate_limit }
    const answer = await this.process(name).api('/v1/recipients', { body })
    assert.equal(answer.status, 201, answer.text)
  }

  /** Tokens in their order. */
  async register(
    name: string,
    ids: readonly string[],
    tags: Record<string, string> = {},
  ): Promise<string[]> {
    const registered = ids.map(async (id) => {
      const body = { id, type: 'generic', tags }
      const answer = await this.process(name).api<{ token: string }>('/v1/devices', { body })
      assert.equal(answer.status, 201, answer.text)
      return answer.body.token
    })
    return Promise.all(registered)
  }

  /** A message for each device, acknowledged when it resolves. */
  async send(
    gateway: string,
    devices: readonly string[],
    metrics: Record<string, number>,
  ): Promise<void> {
    const ts = this.#nowMs++
    const body = devices.map((device) => ({ device, ts, metrics }))
    const answer = await this.process(gateway).api('/v1/telemetry', { body })
    assert.ok(answer.status < 300, answer.text)
  }

  async alerts(name: string): Promise<AlertBody[]> {
    const { alerts } = await this.process(name).get<{ alerts: AlertBody[] }>('/v1/alerts', {
      limit: 1000,
    })
    return alerts.toSorted((one, other) => (one.device_id < other.device_id ? -1 : 1))
  }

  /** What happened to it, in order. */
  async history(name: string, id: string): Promise<{ what: string; episode_id?: string }[]> {
    const path = `/v1/alerts/${id}`
    type Answer = { history: { what: string; episode_id?: string }[] }
    return (await this.process(name).get<Answer>(path)).history
  }

  /** Once so many different webhooks came. */
  async told(count: number): Promise<void> {
    const { webhooks } = this.receiver
    await until(`${count} webhooks`, () => webhooks.size >= count, 30_000).catch((cause: unknown) =>
      assert.fail(`${webhooks.size} webhooks: ${String(cause)}\n${this.at.output}`),
    )
  }
}
