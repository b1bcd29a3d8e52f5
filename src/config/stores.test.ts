import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig, printConfig } from './config.ts'
import { parseStores } from './stores.ts'

const ONE = 'postgresql://weir:s3cr3t@10.0.0.1/weir'
const TWO = 'postgresql://weir:s3cr3t@10.0.0.2/weir'

test('ranges may be hex or decimal and in any order', () => {
  assert.deepEqual(parseStores([`0x80000000-0xFFFFFFFF=${TWO}`, `0-2147483647=${ONE}`]), [
    { from: 0, to: 0x7fff_ffff, url: ONE },
    { from: 0x8000_0000, to: 0xffff_ffff, url: TWO },
  ])
  assert.deepEqual(parseStores([]), [])
})

const REFUSED: [string, string[], RegExp][] = [
  ['a gap', [`0-9=${ONE}`, `0x10-0xffffffff=${TWO}`], /no store has 0xa-0xf$/],
  ['a gap at the beginning', [`1-0xffffffff=${ONE}`], /no store has 0x0-0x0$/],
  ['a gap at the end', [`0-0xfffffffe=${ONE}`], /no store has 0xffffffff-0xffffffff$/],
  ['an overlap', [`0-10=${ONE}`, `10-0xffffffff=${TWO}`], /0xa-0xffffffff begins in .* at 0xa$/],
  ['a range that is turned', [`0-5=${ONE}`, `9-6=${TWO}`], /0x9-0x6 is no range/],
  ['too high a hash', [`0-4294967296=${ONE}`], /is no range, expected 0 to 0xffffffff/],
  ['one address twice', [`0-9=${ONE}`, `10-0xffffffff=${ONE}`], /the address of another store/],
  ['no range', [ONE], /the text at 1 is wrong, expected FROM-TO=postgresql/],
  ['no address', ['0-0xffffffff=mysql://10.0.0.1'], /the text at 1 is wrong/],
]

for (const [what, stores, message] of REFUSED) {
  test(`${what} is refused and says where, without the password`, () => {
    const load = () => loadConfig({ flags: { 'postgres.stores': stores } })
    assert.throws(load, (error: Error & { code?: string }) => {
      assert.equal(error.code, 'CONFIG_VALUE_INVALID')
      assert.match(error.message, /postgres\.stores/)
      assert.doesNotMatch(error.message, /s3cr3t/)
      return true
    })
    assert.match((parseStores(stores) as { problem: string }).problem, message)
  })
}

test('printed, each store is a secret', () => {
  const stores = `0-9=${ONE},10-0xffffffff=${TWO}`
  const config = loadConfig({ env: { WEIR_POSTGRES_STORES: stores } })
  assert.equal(config.postgres.stores.length, 2)
  const printed = printConfig(config)
  assert.match(printed, /stores:\n\s+- "?\*\*\*"?\n\s+- "?\*\*\*"?\n/)
  assert.doesNotMatch(printed, /s3cr3t/)
})
