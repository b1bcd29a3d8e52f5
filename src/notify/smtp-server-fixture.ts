/**
 * A mail server on loopback as a process of its own: `node smtp-server-fixture.ts '{"…"}'`. It says
 * its port and then each message, as a line of JSON.
 */
import { SMTPServer } from 'smtp-server'
import { CERTIFICATE, KEY } from './tls-fixture.ts'

export interface SmtpServerOptions {
  user?: string
  password?: string
  /** TLS from the first byte; else STARTTLS is offered. */
  isSecure?: boolean
  hasNoTls?: boolean
  /** What RCPT says, instead of taking everybody. */
  rcptCode?: number
}

export interface ReceivedMail {
  from: string
  to: string[]
  isSecure: boolean
  user: string | undefined
  source: string
}

function serve(options: SmtpServerOptions): void {
  const { user, password, rcptCode } = options
  const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`)
  const server = new SMTPServer({
    ...{ key: KEY, cert: CERTIFICATE, secure: options.isSecure === true },
    disabledCommands: options.hasNoTls === true ? ['STARTTLS'] : [],
    ...{ authOptional: user === undefined, allowInsecureAuth: true, disableReverseLookup: true },
    onAuth(auth, _session, callback) {
      const isRight = auth.username === user && auth.password === password
      if (isRight) callback(null, { user: auth.username })
      // As some do: it repeats what it was told.
      else callback(new Error(`Invalid password ${auth.password}`))
    },
    onRcptTo(address, _session, callback) {
      if (rcptCode === undefined) callback()
      else callback(Object.assign(new Error(`not ${address.address}`), { responseCode: rcptCode }))
    },
    onData(stream, session, callback) {
      const parts: Uint8Array[] = []
      stream.on('data', (part: Uint8Array) => parts.push(part))
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope
        say({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          isSecure: session.secure,
          user: session.user,
          source: Buffer.concat(parts).toString(),
        })
        callback()
      })
    },
  })
  server.on('error', () => undefined)
  const listening = server.listen(0, '127.0.0.1', () => say({ port: addressOf(listening) }))
}

const addressOf = (server: { address(): unknown }): number =>
  (server.address() as { port: number }).port

if (import.meta.main) serve(JSON.parse(process.argv[2] ?? '{}') as SmtpServerOptions)
