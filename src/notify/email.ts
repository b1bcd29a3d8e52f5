/**
 * Email by SMTP, through a server that the operator chose: its address is not guarded. Text, HTML
 * and the chart as an image inside of the message.
 */
import { createHash } from 'node:crypto'
import { createTransport } from 'nodemailer'
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import { drawChart } from './chart.ts'
import { withDeadline } from './deadline.ts'
import { explain, explainText } from './explanation.ts'
import { explainHtml } from './html.ts'
import { isMailbox } from './mailbox.ts'
import { checkKey, type Channel, type Notification } from './notify.ts'

export interface EmailOptions {
  /** `smtps://user:password@host:465` or `smtp://host:587`, which wants STARTTLS. */
  url: string
  from: string
  to: string
  /** Without TLS too, where a server has none. */
  allowPlain?: boolean
  /** More certificates to believe, as PEM. */
  ca?: string
  clock: Clock
  timeoutMs?: number
}

const TIMEOUT_MS = 20_000
const CHART_ID = 'chart@weir'

/** Connects with each send. Errors: NOTIFY_ENDPOINT_INVALID. */
export function openEmail(options: EmailOptions): Channel {
  return new Email(options)
}

type Transport = ReturnType<typeof createTransport>

class Email implements Channel {
  readonly #options: EmailOptions
  readonly #transport: Transport
  readonly #place: string
  readonly #secrets: readonly string[]
  readonly #closed = new AbortController()

  constructor(options: EmailOptions) {
    const server = parseServer(options)
    this.#options = options
    this.#place = `${server.host}:${server.port}`
    this.#secrets = server.auth === undefined ? [] : secretsOf(server.auth)
    this.#transport = createTransport({
      ...server,
      requireTLS: options.allowPlain !== true && !server.secure,
      tls: { minVersion: 'TLSv1.2', ...(options.ca === undefined ? {} : { ca: options.ca }) },
      disableFileAccess: true,
      disableUrlAccess: true,
    })
  }

  async send(notification: Notification, idempotencyKey: string): Promise<void> {
    checkKey(idempotencyKey)
    const { clock, timeoutMs = TIMEOUT_MS } = this.#options
    const message = this.#message(notification, idempotencyKey)
    const deadline = { clock, timeoutMs, closed: this.#closed.signal, place: this.#place }
    try {
      await withDeadline(deadline, (signal) => this.#transport.sendMail({ ...message, signal }))
    } catch (error) {
      throw this.#named(error)
    }
  }

  #message(notification: Notification, idempotencyKey: string) {
    const { from, to } = this.#options
    const { alert, chart } = notification
    const { title } = explain(notification)
    const threshold = typeof alert.threshold === 'number' ? alert.threshold : undefined
    const svg = chart && drawChart(chart, { title, unit: alert.unit, threshold })
    const image = { filename: 'chart.svg', contentType: 'image/svg+xml', cid: CHART_ID }
    return {
      from: { name: 'Weir', address: from },
      to: { name: '', address: to },
      subject: title,
      messageId: messageIdOf(idempotencyKey, from),
      date: new Date(notification.createdAtUs / 1000),
      headers: {
        'X-Weir-Idempotency-Key': idempotencyKey,
        // So that nobody's holiday answers (RFC 3834).
        'Auto-Submitted': 'auto-generated',
        'X-Weir-Alert': createHash('sha256').update(alert.id).digest('hex'),
      },
      text: explainText(notification),
      html: explainHtml(notification, svg === undefined ? undefined : `cid:${CHART_ID}`),
      attachments:
        svg === undefined
          ? []
          : [{ ...image, content: svg, contentDisposition: 'inline' as const }],
    }
  }

  /** Its words without the password, whoever repeats it. */
  #named(error: unknown): WeirError {
    if (error instanceof WeirError) return error
    const { code, response, responseCode, message = '' } = error as SmtpFailure
    const words = `${code === undefined ? '' : `${code}: `}${response ?? message}`
    const shown = this.#secrets.reduce((text, secret) => text.replaceAll(secret, '***'), words)
    // 5xx is for good (RFC 5321, 4.2.1); a server that does not let us in is not mended by waiting.
    const isForGood = (responseCode ?? 0) >= 500
    const what = isForGood ? 'NOTIFY_REFUSED' : 'NOTIFY_UNAVAILABLE'
    return new WeirError(what, `${this.#place}: ${shown.slice(0, 300)}`)
  }

  close(): void {
    this.#closed.abort()
    this.#transport.close()
  }
}

interface SmtpFailure {
  code?: string
  response?: string
  responseCode?: number
  message?: string
}

interface Server {
  host: string
  port: number
  secure: boolean
  auth?: { user: string; pass: string }
}

function parseServer({ url, from, to }: EmailOptions): Server {
  for (const mailbox of [from, to]) {
    if (!isMailbox(mailbox)) throw invalid('not a mailbox such as name@example.com')
  }
  const parsed = URL.parse(url)
  const isSecure = parsed?.protocol === 'smtps:'
  if (parsed === null || parsed.hostname === '' || !(isSecure || parsed.protocol === 'smtp:')) {
    throw invalid('not an address such as smtps://user:password@host:465')
  }
  const { hostname, port, username, password } = parsed
  const server = {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? (isSecure ? 465 : 587) : Number(port),
    secure: isSecure,
  }
  if (username === '') return server
  return { ...server, auth: { user: decoded(username), pass: decoded(password) } }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid('user name or password is not percent-encoded')
  }
}

/** As it is, and as it goes over the wire: alone, and behind the user's name. */
function secretsOf({ user, pass }: { user: string; pass: string }): string[] {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  return [pass, base64(pass), base64(`\0${user}\0${pass}`)].filter((text) => text !== '')
}

/** The same for each try, so that mail programs show one message (RFC 5322, 3.6.4). */
export function messageIdOf(idempotencyKey: string, from: string): string {
  const hash = createHash('sha256').update(idempotencyKey).digest('hex').slice(0, 40)
  return `<${hash}@${from.slice(from.indexOf('@') + 1)}>`
}

const invalid = (why: string): WeirError => new WeirError('NOTIFY_ENDPOINT_INVALID', why)
