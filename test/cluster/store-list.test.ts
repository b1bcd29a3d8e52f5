/** All processes of an installation have one list of stores; another one is refused. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { recordedStores, replaceStores } from '../../src/postgres/store-list.ts'
import { until, weir } from '../system/weir-process.ts'
import { Installation, skip } from './cluster-process.ts'

const TIMEOUT_MS = 120_000
const [WHOLE, HALVES] = ['0x0-0xffffffff', '0x0-0x7fffffff, 0x80000000-0xffffffff']

/** The same with two stores; that both are one server changes nothing here. */
function split(at: Installation): string {
  const { postgresUrl: url } = at
  const stores = [`0-0x7fffffff=${url}`, `0x80000000-0xffffffff=${url}?application_name=second`]
  return at.config().replace('stores: []', `stores: ${JSON.stringify(stores)}`)
}

test(
  'a process with another list is refused, until the list is changed for all',
  { skip, timeout: TIMEOUT_MS },
  async (t) => {
    const at = await Installation.open(t)
    const before = await at.start('control', 'before')
    const config = split(at)
    for (const role of ['writer', 'control', 'all']) {
      const refused = await at.spawn(role, `refused-${role}`, config)
      assert.equal(await refused.end(), 2, refused.output)
      assert.match(refused.stderr, /CONFIG_STORES_DIFFER/)
      assert.ok(refused.stderr.includes(`has ${HALVES}; the installation has ${WHOLE}`))
      assert.match(refused.stderr, /weir stores accept --config FILE/)
      assert.ok(!refused.stderr.includes('postgresql://'))
    }
    assert.ok(!before.running.hasEnded)

    const file = join(at.folder, 'split.yaml')
    await writeFile(file, config, { mode: 0o600 })
    const accepting = weir(['stores', 'accept', '--config', file])
    assert.equal(await accepting.end(), 0, accepting.output)
    assert.ok(accepting.stdout.includes(`${HALVES} from now on; before: ${WHOLE}.`))
    // Whoever was not stopped ends by itself.
    await until('the old list ends', () => before.running.hasEnded, 30_000)
    assert.equal(await before.running.end(), 2)
    assert.match(before.running.stderr, /CONFIG_STORES_DIFFER/)
    const late = await at.spawn('control', 'late')
    assert.equal(await late.end(), 2, late.output)
    await at.start('control', 'after', config)
  },
)

test('of several first lists at once one counts', { skip, timeout: TIMEOUT_MS }, async (t) => {
  const at = await Installation.open(t)
  const place = { url: at.postgresUrl, schema: at.name }
  const lists = ['a', 'b', 'c', 'a', 'b', 'c']
  const recorded = await Promise.all(lists.map((list) => recordedStores(place, list)))
  assert.equal(new Set(recorded).size, 1)
  assert.equal(await replaceStores(place, 'd'), recorded[0])
  assert.equal(await recordedStores(place, 'a'), 'd')
})
