import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import {
  BYTE_STREAM_SPLIT,
  ByteWriter,
  DELTA_BINARY_PACKED,
  eachLevel,
  IndexRuns,
  joinBytes,
  Levels,
  packAligned,
  packExact,
  ParquetWriter,
  PLAIN,
  readPage,
  readTail,
  RLE_DICTIONARY,
  splitBytes,
  unpack,
  type Column,
} from './parquet.ts'

const COLUMNS: readonly Column[] = [
  { name: 'id', type: 'int32', hasBounds: true },
  { name: 'at', type: 'int64', meaning: 'time', hasBounds: true },
  { name: 'small', type: 'int32', meaning: 'int8' },
  { name: 'whole', type: 'int64', isOptional: true },
  { name: 'real', type: 'double', isOptional: true },
]
const NOTHING = new Uint8Array(0)

/** Of every width, and as far from zero as the packings promise. */
const integer = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.integer({ min: -100_000, max: 100_000 }),
  // No negative zero: integers have none.
  fc.maxSafeInteger().map((value) => Math.trunc(value / 8) + 0),
)

test('P1 integers come back from both packings, in any count and of any width', () => {
  const property = fc.property(
    fc.array(integer, { minLength: 1, maxLength: 400 }),
    fc.nat(40),
    fc.constantFrom(packAligned, packExact),
    (values, skipped, pack) => {
      const from = Math.min(skipped, values.length - 1)
      const out = new ByteWriter(1)
      pack(out, Float64Array.from(values), { from, to: values.length })
      const back = new Float64Array(values.length - from)
      unpack(out.written(), back, back.length)
      assert.deepEqual([...back], values.slice(from))
    },
  )
  fc.assert(property, { numRuns: 500 })
})

test('P1 doubles come back bit by bit, levels as they were', () => {
  const bits = fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { maxLength: 50 })
  const doubles = fc.property(bits, (bits) => {
    const values = new Float64Array(BigUint64Array.from(bits).buffer)
    const out = new ByteWriter(1)
    splitBytes(out, values)
    const back = new Float64Array(values.length)
    joinBytes(out.written(), back)
    assert.deepEqual([...new BigUint64Array(back.buffer)], bits)
  })
  fc.assert(doubles)
  const runs = fc.array(fc.record({ rows: fc.integer({ min: 1, max: 1e6 }), isSet: fc.boolean() }))
  const levels = fc.property(runs, (runs) => {
    const written = new Levels()
    for (const { rows, isSet } of runs) written.add(rows, isSet)
    const count = { true: 0, false: 0 }
    eachLevel(written.take(), (rows, isSet) => (count[`${isSet}`] += rows))
    for (const isSet of [true, false]) {
      const rows = runs.filter((run) => run.isSet === isSet).map(({ rows }) => rows)
      assert.equal(
        count[`${isSet}`],
        rows.reduce((sum, one) => sum + one, 0),
      )
    }
  })
  fc.assert(levels)
})

/**
 * Two row groups of two pages each; every other page of `whole` is null, and of `real` the rest.
 */
async function writeFileOfPages(): Promise<{ bytes: Uint8Array; tailBytes: number }> {
  const file = new ByteWriter(1 << 12)
  const writer = new ParquetWriter({
    ...{ columns: COLUMNS, level: 3 },
    write: async (bytes, position) => {
      assert.equal(position, file.length)
      file.bytes(bytes)
    },
  })
  for (let page = 0; page < 4; page++) {
    const rows = PAGE_ROWS
    const isWhole = page % 2 === 0
    const numbers = Float64Array.from({ length: rows }, (_, row) => rowOf(page * rows + row).at)
    const ids = Int32Array.from(numbers, (_, row) => rowOf(page * rows + row).id)
    const wholes = Float64Array.from(numbers, (_, row) => rowOf(page * rows + row).value)
    const pack = (values: Float64Array | Int32Array, packing = packAligned) => {
      const out = new ByteWriter(1)
      packing(out, values, { from: 0, to: rows })
      return { encoding: DELTA_BINARY_PACKED, values: out.written() } as const
    }
    const required = { rows, nulls: 0, levels: NOTHING }
    const least = { least: ids[0]!, most: ids.at(-1)! }
    writer.addPage(0, { ...required, ...pack(ids), ...least })
    writer.addPage(1, { ...required, ...pack(numbers), least: numbers[0]!, most: numbers.at(-1)! })
    writer.addPage(2, { ...required, ...pack(ids.map((id) => id - 1)) })
    const levels = (isSet: boolean): Uint8Array => {
      const levels = new Levels()
      levels.add(rows, isSet)
      return levels.take()
    }
    const optional = (isSet: boolean) => ({ rows, nulls: isSet ? 0 : rows, levels: levels(isSet) })
    const empty = { encoding: PLAIN, values: NOTHING } as const
    const exact = isWhole ? { packed: pack(wholes, packExact) } : {}
    writer.addPage(3, { ...optional(isWhole), ...(isWhole ? pack(wholes) : empty), ...exact })
    const split = new ByteWriter(1)
    splitBytes(split, isWhole ? new Float64Array(0) : wholes)
    const reals = { encoding: BYTE_STREAM_SPLIT, values: split.written() } as const
    writer.addPage(4, { ...optional(!isWhole), ...(isWhole ? empty : reals) })
    if (page === 1) await writer.endRowGroup()
  }
  const { bytes, tail } = await writer.finish()
  assert.equal(bytes, file.length)
  return { bytes: file.written(), tailBytes: tail.bytes }
}

const PAGE_ROWS = 300
const rowOf = (row: number): { id: number; at: number; value: number } => ({
  id: Math.floor(row / 100),
  at: 1_700_000_000_000 + row * 10_000 + (row % 7),
  value: (row * 7919) % 1000,
})

test('P1 another reader reads what is written: DuckDB', async (context) => {
  const path = join(tmpdir(), `weir-parquet-${process.pid}.parquet`)
  context.after(() => rm(path, { force: true }))
  const { bytes } = await writeFileOfPages()
  await writeFile(path, bytes)
  const instance = await DuckDBInstance.create(':memory:')
  context.after(() => instance.closeSync())
  const connection = await instance.connect()
  const answer = await connection.runAndReadAll(
    `SELECT id, epoch_ms("at"), small, coalesce(CAST(whole AS DOUBLE), "real") FROM '${path}'`,
  )
  const rows = answer.getRows().map((row) => row.map(Number))
  const expected = Array.from({ length: 4 * PAGE_ROWS }, (_, row) => {
    const { id, at, value } = rowOf(row)
    return [id, at, id - 1, value]
  })
  assert.deepEqual(rows, expected)
  const pruned = await connection.runAndReadAll(
    `SELECT DISTINCT stats_min_value, stats_max_value FROM parquet_metadata('${path}')
     WHERE path_in_schema = 'id' ORDER BY 1`,
  )
  assert.deepEqual(pruned.getRows(), [
    ['0', '5'],
    ['6', '11'],
  ])
  connection.closeSync()
})

test('P1 strings of a dictionary, and their bounds in the order of bytes: DuckDB', async (context) => {
  const path = join(tmpdir(), `weir-parquet-strings-${process.pid}.parquet`)
  context.after(() => rm(path, { force: true }))
  const instance = await DuckDBInstance.create(':memory:')
  context.after(() => instance.closeSync())
  const connection = await instance.connect()
  // All files have one name, and DuckDB would take what it kept of one for the next.
  await connection.run('SET enable_external_file_cache = false')
  const text = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((one) => !one.includes('\0'))
  const run = fc.record({ at: fc.nat(299), rows: fc.integer({ min: 1, max: 400 }) })
  const property = fc.asyncProperty(
    fc.uniqueArray(text, { minLength: 1, maxLength: 300 }),
    fc.array(fc.array(run, { minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 3 }),
    async (texts, pages) => {
      const file = new ByteWriter(1 << 12)
      const columns = [{ name: 'name', type: 'string', hasBounds: true }] as const
      const write = async (bytes: Uint8Array): Promise<void> => file.bytes(bytes)
      const writer = new ParquetWriter({ columns, level: 3, write })
      const values = texts.map((one) => Buffer.from(one))
      writer.addDictionary(0, values)
      const expected: string[] = []
      for (const page of pages) {
        const indexes = new IndexRuns(values.length)
        const used: Buffer[] = []
        let count = 0
        for (const { at, rows } of page) {
          indexes.add(rows, at % texts.length)
          used.push(values[at % texts.length]!)
          for (let row = 0; row < rows; row++) expected.push(texts[at % texts.length]!)
          count += rows
        }
        used.sort((a, b) => Buffer.compare(a, b))
        writer.addPage(0, {
          ...{ rows: count, nulls: 0, levels: NOTHING, least: used[0]!, most: used.at(-1)! },
          ...{ encoding: RLE_DICTIONARY, values: indexes.take() },
        })
      }
      await writer.finish()
      await writeFile(path, file.written())
      const answer = await connection.runAndReadAll(`SELECT name FROM '${path}'`)
      assert.deepEqual(
        answer.getRows().map(([name]) => name),
        expected,
      )
      const bounds = await connection.runAndReadAll(
        `SELECT stats_min_value, stats_max_value, dictionary_page_offset FROM parquet_metadata('${path}')`,
      )
      const sorted = [...new Set(expected)].sort((a, b) =>
        Buffer.compare(Buffer.from(a), Buffer.from(b)),
      )
      assert.deepEqual(bounds.getRows(), [[sorted[0], sorted.at(-1), 4n]])
    },
  )
  await fc.assert(property, { numRuns: 60 })
  connection.closeSync()
})

test('P1 the tail says where each page is and what its bounds are', async () => {
  const { bytes, tailBytes } = await writeFileOfPages()
  const at = bytes.length - tailBytes
  const tables = readTail(bytes.subarray(at), at, COLUMNS)
  for (const [column, table] of tables.entries()) {
    assert.equal(table.count, 4)
    assert.deepEqual([...table.firstRow], [0, 300, 600, 900, 1200])
    for (let page = 0; page < table.count; page++) {
      const start = table.at[page]!
      assert.equal(readPage(bytes.subarray(start, start + table.bytes[page]!)).rows, PAGE_ROWS)
    }
    assert.equal(table.least.length, COLUMNS[column]!.hasBounds === true ? 4 : 0)
  }
  assert.deepEqual([...tables[0]!.least], [0, 3, 6, 9])
  assert.equal(tables[1]!.most[3], rowOf(1199).at)
})

test('P2 a flipped bit in a page is refused, wherever it is', async () => {
  const { bytes, tailBytes } = await writeFileOfPages()
  const at = bytes.length - tailBytes
  const [table] = readTail(bytes.subarray(at), at, COLUMNS)
  const [start, length] = [table!.at[1]!, table!.bytes[1]!]
  const page = bytes.slice(start, start + length)
  const rows = new Int32Array(PAGE_ROWS)
  const read = (): number[] => {
    const { values, rows: count } = readPage(page)
    unpack(values, rows, count)
    return [...rows]
  }
  const whole = read()
  for (let bit = 0; bit < length * 8; bit++) {
    page[bit >> 3]! ^= 1 << (bit & 7)
    // Of the header only what is not needed to read the page may change unseen.
    let found: number[] | undefined
    try {
      found = read()
    } catch {
      // Refused.
    }
    if (found !== undefined) assert.deepEqual(found, whole, `bit ${bit}`)
    page[bit >> 3]! ^= 1 << (bit & 7)
  }
})
