import assert from 'node:assert/strict'
import { test } from 'node:test'
import { csvText, printable, printableLines } from './printable.ts'

test('row 88: nothing that a device says commands a terminal', () => {
  const hostile = 'x\u001b[2J\u009b31m\u0007\r\n\u202egpj\u007fé'
  assert.equal(printable(hostile), 'x\\u001b[2J\\u009b31m\\u0007\\u000d\\u000a\\u202egpj\\u007fé')
  assert.equal(printableLines('a\u001b\nb'), 'a\\u001b\nb')
})

test('row 88: nothing that a device says is a formula, and CSV stays CSV', () => {
  for (const formula of ['=cmd|x', '+1+1', '-2+3', '@SUM(A1)', '\tx', '\rx']) {
    assert.match(csvText(formula), /^"?'/)
  }
  assert.equal(csvText('idle'), 'idle')
  assert.equal(csvText('a,"b"\nc'), '"a,""b""\nc"')
})
