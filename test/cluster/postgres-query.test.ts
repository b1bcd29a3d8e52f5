import { testQuery } from '../../src/query/query.conformance.ts'
import { accessOf } from './cluster.ts'
import { openTables } from './postgres-bench.ts'

const url = accessOf('postgres')?.['url'] ?? ''
const skip = url === '' ? 'PostgreSQL does not run: npm run -s cluster:up -- postgres' : undefined

let schemas = 0
const newSchema = (): string => `weir_query_${process.pid}_${++schemas}`

testQuery({
  name: 'PostgreSQL',
  tier: 'postgres',
  skip,
  open: (limits) => openTables({ url, schema: newSchema() }, limits),
})
