/**
 * A webhook: one signed POST of JSON. What a receiver has to check is in docs/notifications.md,
 * with receivers that do.
 */
import { createHmac } from 'node:crypto'
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import { notificationBody } from './body.ts'
import { checkEndpoint, systemResolve, type EndpointRules, type Resolve } from './endpoint.ts'
import { guardedPost, POST_LIMITS } from './guarded-post.ts'
import { checkKey, type Channel, type Notification } from './notify.ts'

export interface WebhookOptions extends EndpointRules {
  url: string
  /** Any text; its UTF-8 bytes are the key of the signature. */
  secret: string
  clock: Clock
  connectTimeoutMs?: number
  timeoutMs?: number
  /** Certificates to believe instead of the system's, as PEM. */
  ca?: string
  resolve?: Resolve
}

/** Connects with each send. Errors: NOTIFY_ENDPOINT_INVALID, NOTIFY_ADDRESS_FORBIDDEN. */
export function openWebhook(options: WebhookOptions): Channel {
  return new Webhook(options)
}

/** `t=<seconds since 1970>,v1=<HMAC-SHA256 of "t.body" in hex>`. */
function signatureOf(body: string, secret: string, seconds: number): string {
  const hex = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')
  return `t=${seconds},v1=${hex}`
}

class Webhook implements Channel {
  readonly #options: WebhookOptions
  readonly #url: URL
  readonly #closed = new AbortController()

  constructor(options: WebhookOptions) {
    this.#options = options
    this.#url = checkEndpoint(options.url, options)
    if (options.secret === '') throw new WeirError('NOTIFY_ENDPOINT_INVALID', 'it has no secret')
  }

  async send(notification: Notification, idempotencyKey: string): Promise<void> {
    checkKey(idempotencyKey)
    const { clock, secret } = this.#options
    const body = notificationBody(notification)
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'Weir',
      'idempotency-key': idempotencyKey,
      'x-weir-signature': signatureOf(body, secret, Math.floor(clock.nowUs() / 1_000_000)),
    }
    const options = { ...POST_LIMITS, resolve: systemResolve, ...this.#options }
    const secrets = [secret, ...secretsOf(this.#url)]
    const closed = this.#closed.signal
    await guardedPost(this.#url, { body, headers }, { ...options, secrets, closed })
  }

  close(): void {
    this.#closed.abort()
  }
}

/** Path and query of many addresses are their only credential. */
export function secretsOf({ pathname, search }: URL): string[] {
  const values = [...new URLSearchParams(search).values()]
  return [pathname + search, pathname, ...values].filter((text) => text.length >= 8)
}
