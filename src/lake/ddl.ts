/** The lake's table in the words of other tools. */

/** With the folders' columns last: tenant and type stand in the paths, as Hive has it. */
const COLUMNS = [
  { name: 'device_id', type: 'string' },
  { name: 'metric', type: 'string' },
  { name: 'dimensions', type: 'string' },
  { name: 'time', type: 'timestamp' },
  { name: 'value', type: 'double' },
  { name: 'text_value', type: 'string' },
] as const
const FOLDERS = [
  { name: 'tenant', type: 'string' },
  { name: 'type', type: 'string' },
  { name: 'year', type: 'int' },
  { name: 'month', type: 'int' },
] as const

type Columns = readonly {
  name: string
  type: 'string' | 'timestamp' | 'bigint' | 'double' | 'int'
}[]

export interface LakeTable {
  /** Name, with catalogue and schema if wanted: `hive.iot.readings`. */
  table: string
  /** Where the lake is: `s3://bucket`, or a folder. */
  location: string
  /**
   * `bigint`: µs since 1970, for tools whose timestamps have less than the files. Default:
   * `timestamp`.
   */
  times?: LakeTimes
}

export const LAKE_TIMES = ['timestamp', 'bigint'] as const
export type LakeTimes = (typeof LAKE_TIMES)[number]

export const LAKE_TOOLS = ['trino', 'athena', 'spark', 'duckdb'] as const
export type LakeTool = (typeof LAKE_TOOLS)[number]

/** Statements to paste, each with its semicolon. */
export function lakeTable(tool: LakeTool, { location, ...how }: LakeTable): string {
  const at = { ...how, location: location.replace(/\/+$/, '').replaceAll("'", "''") }
  return WRITERS[tool](at)
}

/** What makes folders known that are new. */
export function refreshStatement(tool: 'trino' | 'athena' | 'spark', table: string): string {
  if (tool !== 'trino') return `MSCK REPAIR TABLE ${table}`
  const { name, schema, catalogue } = trinoName(table)
  return `CALL ${catalogue}.system.sync_partition_metadata('${schema}', '${name}', 'ADD')`
}

function trinoName(table: string): { name: string; schema: string; catalogue: string } {
  const [name = '', schema = 'default', catalogue = 'hive'] = table.split('.').toReversed()
  return { name, schema, catalogue }
}

const columnsOf = ({ times = 'timestamp' }: LakeTable): Columns =>
  COLUMNS.map((column) => (column.name === 'time' ? { ...column, type: times } : column))

const lines = (columns: Columns, line: (name: string, type: Columns[number]['type']) => string) =>
  columns.map(({ name, type }) => `  ${line(name, type)}`).join(',\n')

const names = (quote: string): string =>
  FOLDERS.map(({ name }) => `${quote}${name}${quote}`).join(', ')

function trino({ location, ...at }: LakeTable): string {
  const types = {
    ...{ string: 'varchar', timestamp: 'timestamp(6)', bigint: 'bigint' },
    ...{ double: 'double', int: 'integer' },
  }
  const { name, schema, catalogue } = trinoName(at.table)
  return `-- Times to the microsecond: hive.timestamp-precision=MICROSECONDS in the catalogue.
CREATE TABLE ${catalogue}.${schema}.${name} (
${lines([...columnsOf({ location, ...at }), ...FOLDERS], (name, type) => `"${name}" ${types[type]}`)}
) WITH (
  format = 'PARQUET',
  external_location = '${location}/readings/',
  partitioned_by = ARRAY[${names("'")}]
);
-- Again when there is a new tenant, type or month:
${refreshStatement('trino', at.table)};`
}

function athena(at: LakeTable): string {
  const { table, location } = at
  return `CREATE EXTERNAL TABLE ${table} (
${lines(columnsOf(at), (name, type) => `\`${name}\` ${type}`)}
)
PARTITIONED BY (
${lines(FOLDERS, (name, type) => `\`${name}\` ${type}`)}
)
STORED AS PARQUET
LOCATION '${location}/readings/';
-- Again when there is a new tenant, type or month:
${refreshStatement('athena', table)};`
}

function spark(at: LakeTable): string {
  const { table, location } = at
  return `CREATE TABLE ${table} (
${lines([...columnsOf(at), ...FOLDERS], (name, type) => `\`${name}\` ${type}`)}
)
USING PARQUET
PARTITIONED BY (${names('`')})
LOCATION '${location.replace(/^s3:/, 's3a:')}/readings/';
-- Again when there is a new tenant, type or month:
${refreshStatement('spark', table)};`
}

function duckdb({ table, location, times }: LakeTable): string {
  const columns = times === 'bigint' ? '* REPLACE (epoch_us("time") AS "time")' : '*'
  const types = { string: 'VARCHAR', timestamp: 'TIMESTAMP', double: 'DOUBLE', int: 'INTEGER' }
  const folders = FOLDERS.map(({ name, type }) => `'${name}': ${types[type]}`).join(', ')
  return `CREATE VIEW ${table} AS
SELECT ${columns} FROM read_parquet(
  '${location}/readings/**/*.parquet',
  filename = true,
  hive_partitioning = true,
  hive_types = {${folders}}
);`
}

const WRITERS: Record<LakeTool, (at: LakeTable) => string> = { trino, athena, spark, duckdb }
