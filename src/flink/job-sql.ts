/**
 * The statements of the job. All tables are of bytes ('raw'), which only our own code decodes.
 *
 * Each INSERT repeats what it needs of the functions as common table expressions, and the planner
 * makes one operator of those that are the same (`test/cluster/flink-job.test.ts` counts them).
 * Views would be shorter, but a function in a view is written back into SQL, wrongly.
 */
import type { Beginning, JobSpec } from './flink.ts'
import { STATE_LAYOUT } from './state-layout.ts'

export interface JobSql {
  /** Of the session. */
  settings: Record<string, string>
  /** Functions and tables. */
  definitions: string[]
  /** The statement set, to be executed or explained. */
  job: string
}

/** In SQL and in the jar. */
const FUNCTIONS = [
  ...['SequenceFunction', 'DeviceFunction', 'CoverageFunction'],
  ...['PartitionKey', 'SourceHeader'],
]
/** Gateways write into each partition once a second: who says nothing so long has no leader. */
const IDLE_TIMEOUT = '10 s'
/** With one alone, a checkpoint that cannot be read would be all there is. */
const CHECKPOINTS_KEPT = 3
/**
 * The first one that cannot be written would fail the job, which could not read the last one
 * either: the stream would stand still as long as their storage is away. That it is away is told
 * by `weir_flink_checkpoint_age_seconds`.
 */
const FAILED_CHECKPOINTS_MAX = 2 ** 31 - 1
/**
 * Of the sinks' producers. With Kafka's own 16 KiB a job of 100-byte messages wrote 71 to 80 k/s on
 * two cores, with this 94 k/s; to linger longer added nothing.
 */
const BATCH_BYTES = 128 << 10

export function jobSql(spec: JobSpec, beginning: Beginning): JobSql {
  return {
    settings: settingsOf(spec, beginning),
    definitions: [
      ...FUNCTIONS.map((name) => functionOf(name, spec)),
      telemetry(spec, beginning),
      sink(spec, 'readings', 'headers MAP<STRING, BYTES> METADATA'),
      ...(['windows', 'events', 'deadLetters'] as const).map((kind) => sink(spec, kind)),
    ],
    job: `STATEMENT SET\nBEGIN\n${INSERTS.map((insert) => `${insert};\n`).join('')}END`,
  }
}

/** All of it, as a session of the gateway or of Flink's own SQL client takes it. */
export function printSql({ settings, definitions, job }: JobSql): string {
  const sets = Object.entries(settings).map(
    ([name, value]) => `SET ${quote(name)} = ${quote(value)};\n`,
  )
  const statements = [...definitions, `EXECUTE ${job}`].map((one) => `${one};\n`)
  return `${sets.join('')}\n${statements.join('\n')}`
}

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`

function settingsOf(spec: JobSpec, beginning: Beginning): Record<string, string> {
  const { parallelism, maxParallelism, stateBackend } = spec
  return {
    'execution.runtime-mode': 'streaming',
    'pipeline.name': spec.name,
    'parallelism.default': String(parallelism),
    'pipeline.max-parallelism': String(maxParallelism),
    // Our functions change nothing that they were given or have given away.
    'pipeline.object-reuse': 'true',
    'pipeline.global-job-parameters': Object.entries(jobParameters(spec, beginning))
      .map(([name, value]) => `${name}:${value}`)
      .join(','),
    'table.exec.source.idle-timeout': IDLE_TIMEOUT,
    'table.local-time-zone': 'UTC',
    'execution.checkpointing.mode': 'EXACTLY_ONCE',
    'execution.checkpointing.interval': `${spec.checkpointIntervalMs} ms`,
    'execution.checkpointing.tolerable-failed-checkpoints': String(FAILED_CHECKPOINTS_MAX),
    'execution.checkpointing.dir': spec.checkpoints,
    'execution.checkpointing.savepoint-dir': spec.savepoints,
    'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION',
    'execution.checkpointing.num-retained': String(CHECKPOINTS_KEPT),
    'state.backend.type': stateBackend,
    ...(stateBackend === 'rocksdb' && { 'execution.checkpointing.incremental': 'true' }),
    ...(beginning.from === 'state' && { 'execution.state-recovery.path': beginning.path }),
  }
}

/** What the functions are told; base64 without commas, colons and padding. */
export function jobParameters(spec: JobSpec, beginning: Beginning): Record<string, string> {
  return {
    ...(beginning.from === 'time' && { 'weir.windows-from-ms': String(beginning.windowsFromMs) }),
    'weir.layout': String(STATE_LAYOUT),
    'weir.parallelism': String(spec.parallelism),
    'weir.max-parallelism': String(spec.maxParallelism),
    'weir.partitions': String(spec.partitions),
    'weir.generation': String(spec.generation),
    'weir.plan': Buffer.from(JSON.stringify(spec.plan)).toString('base64url'),
  }
}

function functionOf(name: string, { jar }: JobSpec): string {
  const using = jar === '' ? '' : ` USING JAR ${quote(jar)}`
  return `CREATE TEMPORARY SYSTEM FUNCTION ${name} AS 'weir.flink.${name}' LANGUAGE JAVA${using}`
}

function connector(spec: JobSpec, topic: string, more: Record<string, string>): string {
  const options = {
    connector: 'kafka',
    topic,
    ...Object.fromEntries(
      Object.entries(spec.kafka).map(([name, value]) => [`properties.${name}`, value]),
    ),
    'key.format': 'raw',
    'value.format': 'raw',
    'value.fields-include': 'EXCEPT_KEY',
    ...more,
  }
  const lines = Object.entries(options).map(([name, value]) => `  ${quote(name)} = ${quote(value)}`)
  return `WITH (\n${lines.join(',\n')}\n)`
}

/**
 * Its columns, in this order, are what `SequenceFunction` declares behind the first one. Flink's
 * time is that of its own machines: no gateway's clock, which may be set, stops it or runs ahead
 * with it. It decides nothing but when timers look.
 */
function telemetry(spec: JobSpec, beginning: Beginning): string {
  return `CREATE TEMPORARY TABLE telemetry (
  \`partition\` INT METADATA VIRTUAL,
  \`offset\` BIGINT METADATA VIRTUAL,
  \`key\` BYTES,
  \`value\` BYTES,
  ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  read_at AS CURRENT_ROW_TIMESTAMP(),
  WATERMARK FOR read_at AS read_at
) ${connector(spec, spec.topics.telemetry, {
    'key.fields': 'key',
    'properties.group.id': spec.name,
    ...(beginning.from === 'time'
      ? {
          'scan.startup.mode': 'timestamp',
          'scan.startup.timestamp-millis': String(beginning.timeMs),
        }
      : { 'scan.startup.mode': 'earliest-offset' }),
  })}`
}

/** Without a partitioner of its own Kafka's client gives a key its partition, as E2 wants it. */
function sink(spec: JobSpec, kind: keyof JobSpec['topics'], column?: string): string {
  const columns = ['entry_key STRING', 'data BYTES', ...(column === undefined ? [] : [column])]
  return `CREATE TEMPORARY TABLE ${tableOf(kind)} (
  ${columns.join(',\n  ')}
) ${connector(spec, spec.topics[kind], {
    'key.fields': 'entry_key',
    'properties.batch.size': String(BATCH_BYTES),
    'sink.partitioner': 'default',
    'sink.delivery-guarantee': 'at-least-once',
  })}`
}

const tableOf = (kind: string): string =>
  kind.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`)

/** Columns of a table that a function takes are the ones that it declares, in their order. */
const SEQUENCE = `  entries AS (
    SELECT PartitionKey(\`partition\`) AS lane, \`partition\`, \`offset\`, \`key\`, \`value\`, ts, read_at
    FROM telemetry),
  sequenced AS (
    SELECT * FROM SequenceFunction(
      input => TABLE entries PARTITION BY lane, on_time => DESCRIPTOR(read_at), uid => 'sequence'))`

const DEVICE = `${SEQUENCE},
  addressed AS (SELECT k, data, rowtime FROM sequenced WHERE kind = 0),
  streamed AS (
    SELECT * FROM DeviceFunction(
      input => TABLE addressed PARTITION BY k, on_time => DESCRIPTOR(rowtime), uid => 'device'))`

const COVERAGE = `${DEVICE},
  partials AS (
    SELECT PartitionKey(part) AS lane, part, kind, entry_key, data, rowtime
    FROM streamed WHERE kind IN (1, 3)),
  covered AS (
    SELECT * FROM CoverageFunction(
      input => TABLE partials PARTITION BY lane, on_time => DESCRIPTOR(rowtime), uid => 'coverage'))`

const INSERTS = [
  `INSERT INTO dead_letters\nWITH\n${SEQUENCE}\nSELECT k, data FROM sequenced WHERE kind = 1`,
  `INSERT INTO readings\nWITH\n${DEVICE}
SELECT entry_key, data, SourceHeader(source) FROM streamed WHERE kind = 0`,
  `INSERT INTO events\nWITH\n${DEVICE}\nSELECT entry_key, data FROM streamed WHERE kind = 2`,
  `INSERT INTO windows\nWITH\n${COVERAGE}\nSELECT entry_key, data FROM covered`,
]
