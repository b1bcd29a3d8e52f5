import { after } from 'node:test'
import pg from 'pg'
import { testAlerts } from '../../src/alerts/alerts.conformance.ts'
import { openPostgresControl } from '../../src/control/postgres-control.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { accessOf } from './cluster.ts'

const url = accessOf('postgres')?.['url'] ?? ''
const skip = url === '' ? 'PostgreSQL does not run: npm run -s cluster:up -- postgres' : undefined

let schemas = 0
const nameOf = (schema: number): string => `weir_alerts_test_${process.pid}_${schema}`

after(async () => {
  if (skip !== undefined) return
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  for (let schema = 1; schema <= schemas; schema++)
    await client.query(`DROP SCHEMA IF EXISTS ${nameOf(schema)} CASCADE`)
  await client.end()
})

testAlerts({
  name: 'PostgreSQL',
  skip,
  async open() {
    const access = { url, schema: nameOf(++schemas) }
    const runner = await openPostgresControl({ access, world: nodeWorld })
    const other = await openPostgresControl({ access, world: nodeWorld })
    return {
      ...{ runner: runner.database, other: other.database },
      async close() {
        await runner.close()
        await other.close()
      },
    }
  },
})
