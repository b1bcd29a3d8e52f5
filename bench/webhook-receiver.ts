/** Who is notified in a benchmark: takes webhooks, checks what each says of itself, and counts. */
import { createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Webhook {
  key: string
  alertId: string
  ruleId: string
  deviceId: string
  /** Alerts that it tells of. */
  count: number
}

interface WebhookBody {
  id: string
  alert: { id: string; device_id: string; rule_id: string }
  digest?: { count: number }
}

export class WebhookReceiver {
  readonly secret = 'a secret of the benchmark'
  /** By idempotency key, in the order in which they came first. */
  readonly webhooks = new Map<string, Webhook>()
  /** All that came, repeats too. */
  received = 0
  /** With a wrong signature, or without a key. */
  refused = 0
  onWebhook: ((webhook: Webhook) => void) | undefined
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => {
      void this.#take(request).then((isRight) => {
        response.statusCode = isRight ? 204 : 400
        response.end()
      })
    })
  }

  static async start(): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver()
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve))
    return receiver
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`
  }

  async #take(request: IncomingMessage): Promise<boolean> {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const text = Buffer.concat(pieces).toString()
    const key = request.headers['idempotency-key']
    const signature = String(request.headers['x-weir-signature'])
    const [, time, mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature) ?? []
    const wanted = createHmac('sha256', this.secret).update(`${time}.${text}`).digest('hex')
    this.received++
    if (typeof key !== 'string' || mac !== wanted) {
      this.refused++
      return false
    }
    const { alert, digest } = JSON.parse(text) as WebhookBody
    const webhook: Webhook = {
      ...{ key, alertId: alert.id, ruleId: alert.rule_id, deviceId: alert.device_id },
      count: digest?.count ?? 1,
    }
    if (!this.webhooks.has(key)) {
      this.webhooks.set(key, webhook)
      this.onWebhook?.(webhook)
    }
    return true
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}
