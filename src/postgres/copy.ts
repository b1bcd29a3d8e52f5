/**
 * Rows on their way into PostgreSQL by COPY in its binary format, all of one statement in one
 * buffer: https://www.postgresql.org/docs/15/sql-copy.html#id-1.9.3.55.9.4. Numbers are big endian.
 *
 * Not `pg-copy-streams`: a stream takes chunks and tells when it wants more, which is another copy
 * of every byte and a callback for each. A batch is in memory as a whole anyway.
 */
import pg from 'pg'

/** Signature, flags, length of an extension: 11 + 4 + 4 bytes. */
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
const HEADER_BYTES = SIGNATURE.length + 8
/** 'd' and the length, before each piece of the protocol. */
const FRAME_BYTES = 5
/** Two bytes of -1 end the rows. */
const TRAILER_BYTES = 2
const COPY_DATA = 0x64
const ROW_TEXT_BYTES_MIN = 4
/** Of a column but a text: its length and 8 bytes. */
const COLUMN_BYTES_MAX = 12
const TWO_32 = 2 ** 32

export class CopyRows {
  readonly #columns: number
  #bytes: Buffer
  #view: DataView
  #at = 0
  #count = 0

  constructor(columns: number) {
    this.#columns = columns
    this.#bytes = Buffer.allocUnsafe(64 * 1024)
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length)
    this.clear()
  }

  get count(): number {
    return this.#count
  }

  clear(): void {
    this.#bytes[0] = COPY_DATA
    SIGNATURE.copy(this.#bytes, FRAME_BYTES)
    this.#bytes.fill(0, FRAME_BYTES + SIGNATURE.length, FRAME_BYTES + HEADER_BYTES)
    this.#at = FRAME_BYTES + HEADER_BYTES
    this.#count = 0
  }

  /** Makes room for `rows` more; texts beyond `bytesPerRow` make their own. */
  reserve(rows: number, bytesPerRow: number): void {
    this.#room(rows * bytesPerRow)
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes + TRAILER_BYTES
    if (needed <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(grown, 0, 0, this.#at)
    this.#bytes = grown
    this.#view = new DataView(grown.buffer, grown.byteOffset, grown.length)
  }

  /** Begins a row; then each of its columns in turn, by one of the methods below. */
  row(): void {
    // Texts of rows before may have taken what was reserved.
    this.#room(2 + this.#columns * COLUMN_BYTES_MAX)
    this.#view.setInt16(this.#at, this.#columns)
    this.#at += 2
    this.#count++
  }

  integer(value: number): void {
    this.#view.setInt32(this.#at, 4)
    this.#view.setInt32(this.#at + 4, value)
    this.#at += 8
  }

  /** An integer that a number holds exactly. */
  long(value: number): void {
    this.#view.setInt32(this.#at, 8)
    const high = Math.floor(value / TWO_32)
    this.#view.setInt32(this.#at + 4, high)
    this.#view.setUint32(this.#at + 8, value - high * TWO_32)
    this.#at += 12
  }

  double(value: number): void {
    this.#view.setInt32(this.#at, 8)
    this.#view.setFloat64(this.#at + 4, value)
    this.#at += 12
  }

  boolean(isTrue: boolean): void {
    this.#view.setInt32(this.#at, 1)
    this.#view.setUint8(this.#at + 4, isTrue ? 1 : 0)
    this.#at += 5
  }

  /** PostgreSQL has no NUL in a text: it becomes U+FFFD. */
  text(value: string | undefined): void {
    if (value === undefined) {
      this.#view.setInt32(this.#at, -1)
      this.#at += ROW_TEXT_BYTES_MIN
      return
    }
    const bytes = Buffer.from(withoutNul(value))
    this.#room(ROW_TEXT_BYTES_MIN + bytes.length + 1024)
    this.#view.setInt32(this.#at, bytes.length)
    bytes.copy(this.#bytes, this.#at + 4)
    this.#at += ROW_TEXT_BYTES_MIN + bytes.length
  }

  /** The whole as one message of the protocol; valid until the next row or clear(). */
  message(): Buffer {
    this.#room(0)
    this.#view.setInt16(this.#at, -1)
    const end = this.#at + TRAILER_BYTES
    this.#view.setInt32(1, end - 1)
    return this.#bytes.subarray(0, end)
  }
}

export const withoutNul = (text: string): string =>
  text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text

/** Runs `COPY … FROM STDIN (FORMAT binary)` with these rows. Throws what PostgreSQL says. */
export function copyRows(client: pg.ClientBase, statement: string, rows: CopyRows): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error: unknown): void => {
      if (error === null || error === undefined) resolve()
      else reject(error)
    }
    client.query(new CopyQuery(statement, rows.message(), done))
  })
}

/** What of pg's connection a COPY needs; pg has it for `pg-copy-streams`, its types do not. */
interface CopyConnection {
  stream: { write(bytes: Uint8Array): void }
  endCopyFrom(): void
}

class CopyQuery extends pg.Query {
  readonly #message: Buffer

  constructor(statement: string, message: Buffer, done: (error: unknown) => void) {
    super({ text: statement }, done)
    this.#message = message
  }

  /** Called by pg when the server is ready for the rows. */
  handleCopyInResponse(connection: CopyConnection): void {
    connection.stream.write(this.#message)
    connection.endCopyFrom()
  }
}
