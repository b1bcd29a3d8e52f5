/** Slack's incoming webhooks, and what understands the same: Mattermost, Rocket.Chat, Discord. */
import { checkEndpoint, systemResolve } from './endpoint.ts'
import { explain } from './explanation.ts'
import { guardedPost, POST_LIMITS } from './guarded-post.ts'
import { checkKey, type Channel, type Notification } from './notify.ts'
import { secretsOf, type WebhookOptions } from './webhook.ts'

/** The address is all that is secret. Errors: NOTIFY_ENDPOINT_INVALID, NOTIFY_ADDRESS_FORBIDDEN. */
export function openSlack(options: Omit<WebhookOptions, 'secret'>): Channel {
  return new Slack(options)
}

class Slack implements Channel {
  readonly #options: Omit<WebhookOptions, 'secret'>
  readonly #url: URL
  readonly #closed = new AbortController()

  constructor(options: Omit<WebhookOptions, 'secret'>) {
    this.#options = options
    this.#url = checkEndpoint(options.url, options)
  }

  async send(notification: Notification, idempotencyKey: string): Promise<void> {
    checkKey(idempotencyKey)
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'Weir',
      'idempotency-key': idempotencyKey,
    }
    const body = JSON.stringify(messageOf(notification))
    const options = { ...POST_LIMITS, resolve: systemResolve, ...this.#options }
    const [secrets, closed] = [secretsOf(this.#url), this.#closed.signal]
    await guardedPost(this.#url, { body, headers }, { ...options, secrets, closed })
  }

  close(): void {
    this.#closed.abort()
  }
}

/** Slack's limit of one text in a section. */
const SECTION_LENGTH_MAX = 3000

/** Plain text has no marks, so nothing that a device says mentions people or becomes a link. */
function messageOf(notification: Notification) {
  const { title, facts } = explain(notification)
  const lines = facts.map(({ name, text }) => `${name}: ${text}`).join('\n')
  const plainText = (text: string) => ({ type: 'plain_text', text, emoji: false })
  return {
    // For the notification of a phone; Slack reads it as marked-up text.
    text: escapeMarks(title),
    blocks: [
      { type: 'section', text: plainText(title) },
      { type: 'section', text: plainText(lines.slice(0, SECTION_LENGTH_MAX)) },
    ],
  }
}

/** Slack's three controls; `<!channel>` and links need the second one. */
const escapeMarks = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
