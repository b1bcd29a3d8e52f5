import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERRORS } from '../errors/errors.ts'
import { loadConfig, SETTINGS } from './config.ts'
import { renderConfigDocs, renderErrorDocs } from './docs.ts'

test('docs/config.md names every setting, and its example loads', () => {
  const page = renderConfigDocs()
  for (const { variable, keys } of SETTINGS)
    assert.match(page, new RegExp(`^\\| \`${keys.at(-1)}\` \\|.*\\| \`${variable}\` \\|$`, 'm'))
  const [, example] = /```yaml\n([\s\S]*?)```/.exec(page)!
  assert.equal(
    loadConfig({ file: { name: 'docs/config.md', text: example! } }).data,
    '/var/lib/weir',
  )
})

test('docs/errors.md has one row for every code of the catalogue', () => {
  const rows = renderErrorDocs()
    .split('\n')
    .filter((line) => line.startsWith('| `'))
  assert.deepEqual(
    rows.map((row) => row.split('`')[1]),
    Object.keys(ERRORS),
  )
})
