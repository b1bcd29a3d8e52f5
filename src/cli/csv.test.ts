import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CsvParser } from './csv.ts'

function parseAll(pieces: string[], separator?: string): string[][] {
  const parser = new CsvParser(separator)
  const records = pieces.flatMap((piece) => parser.push(piece))
  return [...records, ...parser.end()]
}

const write = (field: string): string => `"${field.replaceAll('"', '""')}"`

test('any table that is written with quotes reads back the same, wherever the text is cut', () => {
  const field = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é') })
  const record = fc.array(field, { minLength: 2, maxLength: 4 })
  const end = fc.constantFrom('\n', '\r\n')
  const cuts = fc.array(fc.nat(200), { maxLength: 6 })
  fc.assert(
    fc.property(fc.array(record), end, cuts, fc.boolean(), (records, eol, cutAt, hasLast) => {
      const lines = records.map((fields) => fields.map(write).join(','))
      const text = lines.join(eol) + (hasLast && records.length > 0 ? eol : '')
      const places = [0, ...cutAt.map((cut) => cut % (text.length + 1)), text.length]
      const sorted = places.toSorted((a, b) => a - b)
      const pieces = sorted.slice(1).map((to, i) => text.slice(sorted[i], to))
      assert.deepEqual(parseAll(pieces), records)
    }),
  )
})

test('fields without quotes, empty fields, empty lines, a byte order mark, another separator', () => {
  assert.deepEqual(parseAll(['\uFEFFa,b\n1,\n\n,2\n']), [
    ['a', 'b'],
    ['1', ''],
    ['', '2'],
  ])
  assert.deepEqual(parseAll(['a;b\r\n1,5;2'], ';'), [
    ['a', 'b'],
    ['1,5', '2'],
  ])
})

test('a quote that never closes is refused, not swallowed', () => {
  assert.throws(() => parseAll(['a,b\n1,"2\n3,4\n']), { code: 'TELEMETRY_SHAPE_INVALID' })
})

test('what follows a closing quote belongs to the field, in any pieces', () => {
  const parser = new CsvParser()
  assert.deepEqual(parser.push('"a"b,"c"'), [])
  assert.deepEqual(parser.push('"d"e\n'), [['ab', 'c"de']])
})
