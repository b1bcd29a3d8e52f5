/** `weir lake`: how other tools find the lake, and a statement for the engine over it. */
import { Option, type Command } from 'commander'
import { WeirError } from '../errors/errors.ts'
import { LAKE_TIMES, LAKE_TOOLS, lakeTable, type LakeTimes, type LakeTool } from '../lake/ddl.ts'
import { loadSettings } from './settings.ts'

const EXAMPLES = `
Examples:
  weir lake ddl --engine trino --location s3://my-bucket --table hive.iot.readings
  weir lake ddl --engine duckdb --location s3://my-bucket | duckdb lake.db
  weir lake query --config cluster.yaml 'SELECT type, count(*) FROM hive.iot.readings GROUP BY 1'`

interface LakeFlags {
  engine: LakeTool
  location: string
  table: string
  times: LakeTimes
}

/** Without quotes: what every engine takes as it stands. */
const TABLE = /^[a-z_]\w*(\.[a-z_]\w*){0,2}$/i

export function addLake(program: Command): void {
  const lake = program
    .command('lake')
    .description('Parquet in an object store, for other tools')
    .addHelpText('after', EXAMPLES)
  lake
    .command('ddl')
    .description('print the definition of its table')
    .addOption(
      new Option('--engine <name>', 'who will read it')
        .choices([...LAKE_TOOLS])
        .makeOptionMandatory(),
    )
    .requiredOption('--location <url>', 'bucket or folder of the lake, as s3://my-bucket')
    .option('--table <name>', 'name of the table', 'readings')
    .addOption(
      new Option('--times <type>', 'of the column time; bigint: µs since 1970')
        .choices([...LAKE_TIMES])
        .default('timestamp'),
    )
    .addHelpText('after', EXAMPLES)
    .action(({ engine, ...at }: LakeFlags) => {
      if (!TABLE.test(at.table))
        throw new WeirError('CLI_USAGE_INVALID', `${at.table} is no name of a table`)
      console.log(lakeTable(engine, at))
    })
  lake
    .command('query')
    .description('run a statement by the engine of the configuration; rows come as NDJSON')
    .argument('<statement>', 'SQL of that engine')
    .option('--config <file>', 'configuration in YAML, with engine')
    .addHelpText('after', EXAMPLES)
    .action(query)
}

/** All that the engine’s user may read and do: it is for operators. */
async function query(statement: string, flags: { config?: string }): Promise<void> {
  const config = await loadSettings(flags)
  // Loaded here, so that other commands do not pay for it.
  const { openLakeEngine } = await import('../cluster/open-lake-engine.ts')
  const opened = openLakeEngine(config)
  if (opened === undefined)
    throw new WeirError('CONFIG_VALUE_INVALID', 'engine.kind: there is no engine over the lake')
  const { engine, limits } = opened.use
  const ended = new AbortController()
  process.once('SIGINT', () => ended.abort())
  // Between two looks at the engine nothing else keeps the process alive.
  const keepAlive = setInterval(() => {}, 60_000)
  try {
    for await (const { columns, rows } of engine.run(statement, limits, ended.signal)) {
      for (const row of rows) {
        const named = columns.map(({ name }, at) => [name, row[at]])
        process.stdout.write(`${JSON.stringify(Object.fromEntries(named))}\n`)
      }
    }
  } catch (error) {
    if (!ended.signal.aborted) throw error
    process.exitCode = 130
  } finally {
    clearInterval(keepAlive)
    opened.close()
  }
}
