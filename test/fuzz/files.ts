/** What `weir replay` reads: CSV, newline-delimited JSON and line protocol, piece by piece. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { CsvMessages } from '../../src/cli/csv-messages.ts'
import { CsvParser } from '../../src/cli/csv.ts'
import { LineProtocolMessages, NdjsonMessages } from '../../src/cli/line-messages.ts'
import { WeirError } from '../../src/errors/errors.ts'
import { cuts, mutatedText, oneOf, textPieces } from './bytes.ts'
import { claim, type FuzzTarget } from './claim.ts'

const cell = fc.oneof(
  fc.constantFrom('', '1', '-2.5', 'true', 'NA', '2026-01-01 00:00', '1767225600', 'a"b', 'a,b'),
  fc.string({ unit: oneOf('ab1,"\n\r;é'), maxLength: 6 }),
)
const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`
const written = (text: string): string => (/[",\r\n]/.test(text) ? quoted(text) : text)
const records = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { maxLength: 5 })
const csv = records.map((all) => all.map((one) => one.map(written).join(',')).join('\n'))
const anyCsv = fc.oneof(
  csv,
  mutatedText(csv),
  fc.string({ unit: oneOf('ab,"\n\r'), maxLength: 40 }),
)

interface Reader<Item> {
  push(text: string): Item[]
  end(): Item[]
}

/** All items, or the code with which reading ended. */
function readAll<Item>(start: () => Reader<Item>, pieces: string[]): Item[] | string {
  try {
    const reader = start()
    const items = pieces.flatMap((piece) => reader.push(piece))
    return [...items, ...reader.end()]
  } catch (error) {
    if (!(error instanceof WeirError)) throw error
    return error.code
  }
}

/** However a file is cut into pieces, the same comes out of it. */
const isAlike =
  <Item>(start: () => Reader<Item>) =>
  (text: string, how: 'every byte' | number[]): void => {
    const whole = readAll(start, [text])
    assert.deepEqual(readAll(start, textPieces(text, how)), whole)
  }

const HEADER = 'time,device,a,b\n'
const csvMessages = (): Reader<unknown> =>
  new CsvMessages({
    ...{ time: ['time'], zone: 'Europe/Berlin', device: 'device', metrics: undefined, skip: [] },
    separator: ',',
  })

const json = fc
  .tuple(fc.json({ maxDepth: 2 }), fc.constantFrom('\n', '\r\n', '\n\n', ''))
  .map(([text, end]) => text + end)
const ndjson = fc.array(json, { maxLength: 5 }).map((lines) => lines.join(''))
const lines = fc.string({ unit: oneOf('abm,= "\\\n1i#'), maxLength: 60 })

export const filesTarget: FuzzTarget = {
  name: 'files',
  claims: [
    claim(
      'CSV comes back as the records that were written',
      500,
      fc.property(records, (all) => {
        const text = all.map((one) => one.map(written).join(',')).join('\r\n')
        assert.deepEqual(
          readAll(() => new CsvParser(), [text]),
          all,
        )
      }),
    ),
    claim(
      'CSV is read alike in any pieces',
      800,
      fc.property(
        anyCsv,
        cuts,
        isAlike(() => new CsvParser()),
      ),
    ),
    claim(
      'messages of CSV are the same in any pieces',
      500,
      fc.property(
        anyCsv.map((text) => HEADER + text),
        cuts,
        isAlike(csvMessages),
      ),
    ),
    claim(
      'newline-delimited JSON is read alike in any pieces',
      500,
      fc.property(
        fc.oneof(ndjson, mutatedText(ndjson)),
        cuts,
        isAlike(() => new NdjsonMessages()),
      ),
    ),
    claim(
      'line protocol is scanned alike in any pieces',
      500,
      fc.property(
        lines,
        cuts,
        isAlike(() => new LineProtocolMessages()),
      ),
    ),
  ],
}
