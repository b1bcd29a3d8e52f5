/** `weir lake ddl`: how other tools find the lake. */
import { Option, type Command } from 'commander'
import { WeirError } from '../errors/errors.ts'
import { LAKE_ENGINES, lakeTable, type LakeEngine } from '../lake/ddl.ts'

const EXAMPLES = `
Examples:
  weir lake ddl --engine trino --location s3://my-bucket --table hive.iot.readings
  weir lake ddl --engine duckdb --location s3://my-bucket | duckdb lake.db`

interface LakeFlags {
  engine: LakeEngine
  location: string
  table: string
}

/** Without quotes: what every engine takes as it stands. */
const TABLE = /^[a-z_]\w*(\.[a-z_]\w*){0,2}$/i

export function addLake(program: Command): void {
  const lake = program.command('lake').description('Parquet in an object store, for other tools')
  lake
    .command('ddl')
    .description('print the definition of its table')
    .addOption(
      new Option('--engine <name>', 'who will read it')
        .choices([...LAKE_ENGINES])
        .makeOptionMandatory(),
    )
    .requiredOption('--location <url>', 'bucket or folder of the lake, as s3://my-bucket')
    .option('--table <name>', 'name of the table', 'readings')
    .addHelpText('after', EXAMPLES)
    .action(({ engine, ...at }: LakeFlags) => {
      if (!TABLE.test(at.table))
        throw new WeirError('CLI_USAGE_INVALID', `${at.table} is no name of a table`)
      console.log(lakeTable(engine, at))
    })
}
