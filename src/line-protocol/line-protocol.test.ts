import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FIELDS_MAX, LINE_BYTES_MAX, TAGS_MAX, parseLines } from './line-protocol.ts'
import type { Precision } from './line-protocol.ts'

interface Parsed {
  index: number
  measurement: string
  tags: [string, string][]
  fields: Record<string, number | boolean | string>
  timeUs: number | undefined
  text: string
}

interface Refused {
  index: number
  code: string
  detail: string
  text: string
}

const toText = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')

function parse(input: string | Uint8Array, precision: Precision = 'ns') {
  const bytes = typeof input === 'string' ? Buffer.from(input) : input
  const lines: Parsed[] = []
  const refused: Refused[] = []
  parseLines(
    bytes,
    precision,
    (line) => {
      const names = line.fieldKeys.slice(0, line.fieldCount)
      assert.equal(new Set(names).size, names.length)
      lines.push({
        index: line.index,
        measurement: line.measurement,
        tags: line.tagKeys.slice(0, line.tagCount).map((key, at) => [key, line.tagValues[at]!]),
        fields: Object.fromEntries(names.map((name, at) => [name, line.fieldValues[at]!])),
        timeUs: line.timeUs,
        text: toText(bytes.subarray(line.start, line.end)),
      })
    },
    (index, code, detail, lineBytes) => {
      refused.push({ index, code, detail, text: toText(lineBytes) })
    },
  )
  return { lines, refused }
}

function parseOne(input: string, precision: Precision = 'ns'): Parsed {
  const { lines, refused } = parse(input, precision)
  assert.deepEqual(refused, [])
  assert.equal(lines.length, 1)
  return lines[0]!
}

function refuseOne(input: string, precision: Precision = 'ns'): Refused {
  const { lines, refused } = parse(input, precision)
  assert.deepEqual(lines, [])
  assert.equal(refused.length, 1)
  return refused[0]!
}

// String(-0) is '0'.
const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0)

test('L1 a line gives its measurement, tags, fields and time', () => {
  const line =
    'readings,name=truck_0,fleet=South latitude=52.31854,on=t,status="ok" 1451606400000000000'
  assert.deepEqual(parseOne(`${line}\n`), {
    index: 0,
    measurement: 'readings',
    tags: [
      ['name', 'truck_0'],
      ['fleet', 'South'],
    ],
    fields: { latitude: 52.31854, on: true, status: 'ok' },
    timeUs: 1451606400000000,
    text: line,
  })
})

test('L1 blank lines, comments, CR LF and a missing last line end are no lines of their own', () => {
  const { lines, refused } = parse(
    '# note, a=1\r\n\r\n  \n  m f=1\r\n\n#x\nm f=2   \nm f=3 7\r\nm f=4',
  )
  assert.deepEqual(refused, [])
  assert.deepEqual(
    lines.map(({ index, fields, text }) => [index, fields['f'], text]),
    [
      [0, 1, 'm f=1'],
      [1, 2, 'm f=2   '],
      [2, 3, 'm f=3 7'],
      [3, 4, 'm f=4'],
    ],
  )
})

test('L1 a bad line is named by its index and bytes and spoils no other', () => {
  const { lines, refused } = parse('m f=1\nbad\r\nm f=2\nm f="x\nm f=3')
  assert.deepEqual(
    lines.map(({ index }) => index),
    [0, 2, 4],
  )
  assert.deepEqual(
    refused.map(({ index, text }) => [index, text]),
    [
      [1, 'bad'],
      [3, 'm f="x'],
    ],
  )
})

test('L1 lines hidden in a refused line’s text are not read as lines', () => {
  const { lines, refused } = parse('m f="a\nevil x=1\nb",g=9007199254740993i 1\nm f=2')
  assert.deepEqual(
    lines.map(({ fields }) => fields),
    [{ f: 2 }],
  )
  assert.equal(refused[0]?.text, 'm f="a\nevil x=1\nb",g=9007199254740993i 1')
})

test('L2 escapes: comma and space everywhere, = in tags and keys, quote and backslash in texts', () => {
  const line = parseOne(String.raw`a\ b\,c\=,t\ \,\=k=v\ \,\=\\w f\ \,\=k="q\"\\ \w",g=1`)
  assert.equal(line.measurement, String.raw`a b,c\=`)
  assert.deepEqual(line.tags, [['t ,=k', String.raw`v ,=\\w`]])
  assert.deepEqual(line.fields, { 'f ,=k': String.raw`q"\ \w`, g: 1 })
  assert.deepEqual(parseOne('m f="a\nb,c d=e"').fields, { f: 'a\nb,c d=e' })
  assert.deepEqual(parseOne('m f=""').fields, { f: '' })
})

test('L2 empty tag values are dropped, of a field written twice the last counts', () => {
  const line = parseOne('readings,name=,fleet=West,driver= a=1,b=2,a=3')
  assert.deepEqual(line.tags, [['fleet', 'West']])
  assert.deepEqual(line.fields, { a: 3, b: 2 })
  const many = Array.from({ length: 40 }, (_, index) => `f${index}=1`)
  const twice = parseOne(`m ${[...many, 'f3=7', 'f39=8', 'f40=9'].join(',')}`)
  assert.equal(Object.keys(twice.fields).length, 41)
  assert.deepEqual([twice.fields['f3'], twice.fields['f39'], twice.fields['f40']], [7, 8, 9])
  const reversed = many.toReversed().map((field) => field.replace('=1', '=2'))
  const { lines } = parse(`m ${many.join()}\nm ${reversed.join()}`)
  assert.deepEqual(
    lines.map(({ fields }) => [Object.keys(fields).length, fields['f0'], fields['f39']]),
    [
      [40, 1, 1],
      [40, 2, 2],
    ],
  )
})

test('L3 numbers, integers, unsigned and booleans in all their spellings', () => {
  const numbers = {
    '1': 1,
    '-1.5': -1.5,
    '+2': 2,
    '.5': 0.5,
    '1.': 1,
    '1e3': 1000,
    '-2.5E-3': -0.0025,
  }
  const integers = {
    '1i': 1,
    '-7i': -7,
    '0i': 0,
    '-0i': 0,
    '42u': 42,
    '9007199254740991i': 2 ** 53 - 1,
  }
  for (const [text, value] of Object.entries({ ...numbers, ...integers })) {
    assert.equal(parseOne(`m f=${text} 1`).fields['f'], value, text)
  }
  for (const text of ['t', 'T', 'true', 'True', 'TRUE']) {
    assert.equal(parseOne(`m f=${text}`).fields['f'], true)
  }
  for (const text of ['f', 'F', 'false', 'False', 'FALSE']) {
    assert.equal(parseOne(`m f=${text}`).fields['f'], false)
  }
})

test('L3 an integer beyond 2^53 − 1 is refused, not rounded', () => {
  for (const text of ['9007199254740992i', '-9007199254740993i', '18446744073709551615u']) {
    const { code, detail } = refuseOne(`m ok=1,f=${text} 1`)
    assert.equal(code, 'TELEMETRY_INTEGER_TOO_LARGE')
    assert.match(detail, new RegExp(`"f" is ${text}`))
  }
})

test('L3 a float is the nearest double, whatever its digits', () => {
  fc.assert(
    fc.property(finite, (number) => {
      assert.equal(parseOne(`m f=${number}`).fields['f'], number)
    }),
  )
  const digits = fc.stringMatching(/^\d{1,25}$/)
  fc.assert(
    fc.property(digits, digits, (whole, fraction) => {
      assert.equal(
        parseOne(`m f=-${whole}.${fraction}`).fields['f'],
        Number(`-${whole}.${fraction}`),
      )
    }),
  )
})

test('L3 timestamps become µs exactly in every precision, rounded down', () => {
  const cases: [Precision, string, number][] = [
    ['ns', '1451606400123456789', 1451606400123456],
    ['ns', '-1', -1],
    ['ns', '-1000', -1],
    ['ns', '-1001', -2],
    ['ns', '999', 0],
    ['ns', '-0', 0],
    ['ns', '9007199254740991999', Number.MAX_SAFE_INTEGER],
    ['us', '9007199254740991', Number.MAX_SAFE_INTEGER],
    ['ms', '-86400001', -86400001000],
    ['s', '1451606400', 1451606400000000],
    ['m', '2', 120000000],
    ['h', '-1', -3600000000],
  ]
  for (const [precision, text, timeUs] of cases) {
    assert.equal(parseOne(`m f=1 ${text}`, precision).timeUs, timeUs, `${text} ${precision}`)
  }
  assert.equal(parseOne('m f=1').timeUs, undefined)
  fc.assert(
    fc.property(fc.bigInt(-(2n ** 53n) * 1000n, 2n ** 53n * 1000n), (ns) => {
      const floor = (ns - (((ns % 1000n) + 1000n) % 1000n)) / 1000n
      assert.equal(parseOne(`m f=1 ${ns}`).timeUs, Number(floor))
    }),
  )
})

test('L3 the last timestamp of 64 bits is read, the next power is refused', () => {
  assert.equal(parseOne('m f=1 9223372036854775807').timeUs, Number(9223372036854775n))
  assert.equal(refuseOne('m f=1 9223372036854780000').code, 'TIME_FORMAT_INVALID')
  assert.equal(refuseOne('m f=1 1451606400000000000', 's').code, 'TIME_FORMAT_INVALID')
})

test('L2 every refusal names what is wrong and where', () => {
  const syntax = 'LINE_SYNTAX_INVALID'
  const cases: [string, string, RegExp][] = [
    ['m', syntax, /column 2: expected a comma or a space, then a field, but the line ends/],
    [',t=1 f=1', syntax, /measurement is empty/],
    ['m,=v f=1', syntax, /tag key is empty/],
    ['m,t f=1', syntax, /column 4: expected "=" after the tag key "t", but found " "/],
    ['m,t=a=b f=1', syntax, /tag "t" has an unescaped "="/],
    ['m,t=a,t=b f=1', syntax, /tag "t" occurs twice/],
    ['m ', syntax, /field key is empty/],
    ['m f', syntax, /"=" after the field key "f", but the line ends/],
    ['m f=', syntax, /field "f" has no value/],
    ['m f=1,', syntax, /field key is empty/],
    ['m f=abc', syntax, /field "f" is neither number, boolean nor quoted text: abc/],
    ['m f=1x', syntax, /1x/],
    ['m f=1.5i', syntax, /1\.5i/],
    ['m f=-1u', syntax, /-1u/],
    ['m f=1ii', syntax, /1ii/],
    ['m f=-', syntax, /: -$/],
    ['m f=1e', syntax, /1e/],
    ['m f=1.2.3', syntax, /1\.2\.3/],
    ['m f="a', syntax, /column 5: the text of "f" has no closing quote/],
    ['m f="a\\"', syntax, /no closing quote/],
    [
      'm f="a"b',
      syntax,
      /column 8: expected a comma, a space or the end of the line, but found "b"/,
    ],
    ['m f=1 x', syntax, /expected a timestamp of digits, but found "x"/],
    ['m f=1 1 2', syntax, /column 9: expected the end of the line, but found "2"/],
    ['m f=1 1.5', syntax, /end of the line/],
    ['m\tx f=1', syntax, /found "\\t"/],
    ['m f=NaN', 'TELEMETRY_VALUE_NOT_FINITE', /"f" is NaN/],
    ['m f=-inf', 'TELEMETRY_VALUE_NOT_FINITE', /"f" is -inf/],
    ['m f=1e999', 'TELEMETRY_VALUE_NOT_FINITE', /"f"/],
    [`m f=${'9'.repeat(400)}`, 'TELEMETRY_VALUE_NOT_FINITE', /"f"/],
  ]
  for (const [line, code, detail] of cases) {
    const refusal = refuseOne(line)
    assert.equal(refusal.code, code, line)
    assert.match(refusal.detail, detail)
    assert.equal(refusal.text, line)
  }
})

test('L2 a text that is not UTF-8 is refused, so that no two names become one', () => {
  for (const part of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80]]) {
    const bytes = Buffer.concat([Buffer.from('m'), Buffer.from(part), Buffer.from(' f=1')])
    assert.match(parse(bytes).refused[0]?.detail ?? '', /measurement is not UTF-8/)
    const quoted = Buffer.concat([Buffer.from('m f="'), Buffer.from(part), Buffer.from('"')])
    assert.match(parse(quoted).refused[0]?.detail ?? '', /text of "f" is not UTF-8/)
  }
})

test('L4 lines, tags and fields have limits', () => {
  const fits = `m f="${'x'.repeat(LINE_BYTES_MAX - 6)}"`
  assert.equal(Buffer.byteLength(fits), LINE_BYTES_MAX)
  assert.equal(parseOne(`${fits}\n`).text, fits)
  assert.equal(parseOne(`${fits}\r\n`).text, fits)
  for (const line of [`m ${'f'.repeat(LINE_BYTES_MAX)}=1`, `m f=${'1'.repeat(LINE_BYTES_MAX)}`]) {
    const { lines, refused } = parse(`${line}\nm f=1`)
    assert.equal(lines.length, 1)
    assert.equal(refused[0]?.code, 'TELEMETRY_LIMIT_EXCEEDED')
    assert.equal(refused[0]?.text, line)
  }
  const tags = Array.from({ length: TAGS_MAX + 1 }, (_, index) => `t${index}=v`)
  assert.equal(refuseOne(`m,${tags.join()} f=1`).code, 'TELEMETRY_LIMIT_EXCEEDED')
  const fields = Array.from({ length: FIELDS_MAX + 1 }, (_, index) => `f${index}=1`)
  assert.equal(refuseOne(`m ${fields.join()}`).code, 'TELEMETRY_LIMIT_EXCEEDED')
  assert.equal(Object.keys(parseOne(`m ${fields.slice(1).join()}`).fields).length, FIELDS_MAX)
  assert.ok(refuseOne(`m ${'k'.repeat(60_000)}`).detail.length < 300)
})

// A printer: what the format can say, it says; names cannot end with a backslash or hold controls.
const nameText = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 80 })
  .map((text) => text.replaceAll(/\p{Cc}/gu, '·').replace(/\\+$/, '·'))
const measurementText = nameText.map((text) => text.replace(/^#/, '·'))
const escapeMeasurement = (text: string): string => text.replaceAll(/[ ,]/g, String.raw`\$&`)
const escapeKey = (text: string): string => text.replaceAll(/[ ,=]/g, String.raw`\$&`)
const value = fc.oneof(finite, fc.boolean(), fc.string({ unit: 'grapheme', maxLength: 100 }))
const printValue = (field: number | boolean | string): string =>
  typeof field === 'string' ? `"${field.replaceAll(/["\\]/g, String.raw`\$&`)}"` : String(field)
const modelLine = fc.record({
  measurement: measurementText,
  tags: fc.uniqueArray(fc.tuple(nameText, nameText), { maxLength: 6, selector: ([key]) => key }),
  fields: fc.uniqueArray(fc.tuple(nameText, value), {
    minLength: 1,
    maxLength: 24,
    selector: ([key]) => key,
  }),
  timeUs: fc.option(fc.maxSafeInteger(), { nil: undefined }),
})

test('L1 whatever is printed is parsed as it was', () => {
  fc.assert(
    fc.property(fc.array(modelLine, { maxLength: 5 }), fc.boolean(), (models, hasReturns) => {
      const texts = models.map(({ measurement, tags, fields, timeUs }) => {
        const tagTexts = tags.map(([key, text]) => `,${escapeKey(key)}=${escapeKey(text)}`)
        const fieldTexts = fields.map(([key, field]) => `${escapeKey(key)}=${printValue(field)}`)
        const time = timeUs === undefined ? '' : ` ${timeUs}`
        return `${escapeMeasurement(measurement)}${tagTexts.join('')} ${fieldTexts.join()}${time}`
      })
      const { lines, refused } = parse(texts.join(hasReturns ? '\r\n' : '\n'), 'us')
      assert.deepEqual(refused, [])
      const expected = models.map((model, index) => ({
        ...model,
        index,
        fields: Object.fromEntries(model.fields),
        text: texts[index],
      }))
      assert.deepEqual(lines, expected)
    }),
  )
})

test('L2 any bytes are understood or refused, never thrown at, and nothing vanishes', () => {
  const pieces = [...Array.from('mf=,"\\ \n\r#t1i.-e'), 'm,t=v f=1 1\n', 'x="a b"', 'é', '\xff']
  const soup = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .array(fc.constantFrom(...pieces), { maxLength: 60 })
      .map((list) => Buffer.from(list.join(''))),
  )
  fc.assert(
    fc.property(soup, (bytes) => {
      const ranges: [number, number][] = []
      parseLines(
        bytes,
        'ns',
        (line) => ranges.push([line.start, line.end]),
        (index, code, detail, lineBytes) => {
          assert.ok(detail.length > 0 && code.length > 0)
          assert.equal(index, ranges.length)
          const start = lineBytes.byteOffset - bytes.byteOffset
          ranges.push([start, start + lineBytes.length])
        },
      )
      // What lies between the lines is blank or comment.
      let end = 0
      for (const [start, next] of [...ranges, [bytes.length, bytes.length] as const]) {
        assert.match(toText(bytes.subarray(end, start)), /^(\s|#[^\n]*(\n|$))*$/)
        end = next
      }
    }),
    { numRuns: 2000 },
  )
})

test('L4 keys are kept by their bytes: a cache of any age gives the same texts', () => {
  const names = Array.from({ length: 20_000 }, (_, index) => `key-${index}-ü`)
  for (let round = 0; round < 2; round++) {
    const { lines } = parse(names.map((name) => `${name},${name}=${name} ${name}=1`).join('\n'))
    lines.forEach((line, at) => {
      assert.equal(line.measurement, names[at])
      assert.deepEqual(line.tags, [[names[at], names[at]]])
    })
  }
})
