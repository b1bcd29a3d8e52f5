/** A lease whose server is there and says nothing, as behind a network that was cut. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Leases } from '../../src/postgres/lease.ts'
import { until } from '../system/weir-process.ts'
import { clean, newSchema, openWriter, skip, url } from './postgres-fixture.ts'
import { openProxy } from './proxy.ts'

after(clean)

test(
  'a server that says nothing any more takes the lease, and does not keep it',
  { skip },
  async (t) => {
    const schema = newSchema()
    await openWriter(schema)
    const through = new URL(url)
    const proxy = await openProxy(Number(through.port))
    through.host = `127.0.0.1:${proxy.port}`
    const leases = new Leases({ url: through.href, schema }, 500)
    t.after(async () => {
      await leases.close()
      proxy.close()
    })
    const first = await leases.claim('one')
    assert.equal(first?.epoch, 1)
    proxy.freeze()
    await assert.rejects(leases.claim('two'), { code: 'STORAGE_UNAVAILABLE' })
    assert.ok(first.lost.aborted)
    proxy.thaw()
    const again = await until('the lease is free again', async () => leases.claim('one'))
    assert.equal(again.epoch, 2)
  },
)
