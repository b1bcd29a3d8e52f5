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

type Columns = readonly { name: string; type: 'string' | 'timestamp' | 'double' | 'int' }[]

export interface LakeTable {
  /** Name, with catalogue and schema if wanted: `hive.iot.readings`. */
  table: string
  /** Where the lake is: `s3://bucket`, or a folder. */
  location: string
}

export const LAKE_ENGINES = ['trino', 'athena', 'spark', 'duckdb'] as const
export type LakeEngine = (typeof LAKE_ENGINES)[number]

/** Statements to paste, each with its semicolon. */
export function lakeTable(engine: LakeEngine, { table, location }: LakeTable): string {
  const at = { table, location: location.replace(/\/+$/, '').replaceAll("'", "''") }
  return WRITERS[engine](at)
}

const lines = (columns: Columns, line: (name: string, type: Columns[number]['type']) => string) =>
  columns.map(({ name, type }) => `  ${line(name, type)}`).join(',\n')

const names = (quote: string): string =>
  FOLDERS.map(({ name }) => `${quote}${name}${quote}`).join(', ')

function trino({ table, location }: LakeTable): string {
  const types = { string: 'varchar', timestamp: 'timestamp', double: 'double', int: 'integer' }
  const [name, schema = 'default', catalogue = 'hive'] = table.split('.').toReversed()
  return `-- Times to the microsecond: hive.timestamp-precision=MICROSECONDS in the catalogue.
CREATE TABLE ${catalogue}.${schema}.${name} (
${lines([...COLUMNS, ...FOLDERS], (name, type) => `"${name}" ${types[type]}`)}
) WITH (
  format = 'PARQUET',
  external_location = '${location}/readings/',
  partitioned_by = ARRAY[${names("'")}]
);
-- Again when there is a new tenant, type or month:
CALL ${catalogue}.system.sync_partition_metadata('${schema}', '${name}', 'ADD');`
}

function athena({ table, location }: LakeTable): string {
  return `CREATE EXTERNAL TABLE ${table} (
${lines(COLUMNS, (name, type) => `\`${name}\` ${type}`)}
)
PARTITIONED BY (
${lines(FOLDERS, (name, type) => `\`${name}\` ${type}`)}
)
STORED AS PARQUET
LOCATION '${location}/readings/';
-- Again when there is a new tenant, type or month:
MSCK REPAIR TABLE ${table};`
}

function spark({ table, location }: LakeTable): string {
  return `CREATE TABLE ${table} (
${lines([...COLUMNS, ...FOLDERS], (name, type) => `\`${name}\` ${type}`)}
)
USING PARQUET
PARTITIONED BY (${names('`')})
LOCATION '${location.replace(/^s3:/, 's3a:')}/readings/';
-- Again when there is a new tenant, type or month:
MSCK REPAIR TABLE ${table};`
}

function duckdb({ table, location }: LakeTable): string {
  const types = { string: 'VARCHAR', timestamp: 'TIMESTAMP', double: 'DOUBLE', int: 'INTEGER' }
  const folders = FOLDERS.map(({ name, type }) => `'${name}': ${types[type]}`).join(', ')
  return `CREATE VIEW ${table} AS
SELECT * FROM read_parquet(
  '${location}/readings/**/*.parquet',
  filename = true,
  hive_partitioning = true,
  hive_types = {${folders}}
);`
}

const WRITERS: Record<LakeEngine, (at: LakeTable) => string> = { trino, athena, spark, duckdb }
