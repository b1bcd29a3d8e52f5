/**
 * The tables, and how they come to be.
 *
 * Times are integer µs (`_us`) or ms (`_ms`) since 1970. `reading` and `window_partial` are cut by
 * UTC month, so that a month goes by dropping a table; a month of readings is cut again by the
 * hash of its device, so that its indices stay small and queries and vacuum look at parts. Where
 * TimescaleDB's extension is in the database when they are made, they are hypertables instead, and
 * stay what they are if the extension comes later.
 */
import type pg from 'pg'
import { WeirError } from '../errors/errors.ts'
import { migrate as migrateTables } from '../postgres-client/postgres-client.ts'
import { COLD_TABLES } from './cold-tables.ts'
import { ERASURE_TABLES } from './erasure-tables.ts'
import { findTimescale, Hypertables, hypertablesDdl } from './hypertables.ts'
import { MonthPartitions } from './month-partitions.ts'
import { HISTORY_TABLES, ROLLUP_TABLES } from './rollup-tables.ts'
import type { TimeTables } from './time-tables.ts'

/** What `CUT_TABLES` names: by month from the beginning, or not cut yet. */
const cutTables = (isByMonth: boolean): string => `
  CREATE TABLE reading (
    series INTEGER NOT NULL,
    device_hash INTEGER NOT NULL, -- murmur2 of tenant/device, signed.
    time_us BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL, -- Booleans 0 or 1, texts 0.
    text_value TEXT,
    PRIMARY KEY (series, device_hash, time_us)
  )${isByMonth ? ' PARTITION BY RANGE (time_us)' : ''};
  CREATE TABLE window_partial (
    series INTEGER NOT NULL,
    window_ms INTEGER NOT NULL,
    start_ms BIGINT NOT NULL,
    is_late BOOLEAN NOT NULL,
    count BIGINT NOT NULL,
    sum DOUBLE PRECISION NOT NULL,
    min DOUBLE PRECISION NOT NULL,
    max DOUBLE PRECISION NOT NULL,
    mean DOUBLE PRECISION NOT NULL,
    squares DOUBLE PRECISION NOT NULL, -- Centred sum of squares.
    first DOUBLE PRECISION NOT NULL,
    first_us BIGINT NOT NULL,
    last DOUBLE PRECISION NOT NULL,
    last_us BIGINT NOT NULL,
    PRIMARY KEY (series, window_ms, start_ms, is_late)
  )${isByMonth ? ' PARTITION BY RANGE (start_ms)' : ''};
`

const FIRST_TABLES = `
  CREATE TABLE series (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    device_id TEXT COLLATE "C" NOT NULL,
    device_type TEXT NOT NULL,
    metric TEXT COLLATE "C" NOT NULL,
    dimensions TEXT COLLATE "C" NOT NULL, -- JSON: sorted [name, value] pairs.
    kind SMALLINT NOT NULL, -- KIND_CODES.
    UNIQUE (tenant, device_id, metric, dimensions, kind)
  );
  CREATE TABLE dirty_range (
    series INTEGER NOT NULL,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT NOT NULL, -- Excluded.
    PRIMARY KEY (series, from_ms, to_ms)
  );
  -- The partials of this partition tell everything of windows in [from_ms, watermark_ms + 1).
  CREATE TABLE coverage (
    partition INTEGER PRIMARY KEY,
    from_ms BIGINT NOT NULL,
    watermark_ms BIGINT NOT NULL
  );
  CREATE TABLE alert (
    id TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    device_id TEXT COLLATE "C" NOT NULL,
    rule_id TEXT NOT NULL,
    rule_version INTEGER NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL, -- 'firing' or 'resolved'.
    triggered_at_us BIGINT NOT NULL,
    resolved_at_us BIGINT,
    breach_event_time_us BIGINT NOT NULL,
    "values" JSONB NOT NULL
  );
  CREATE INDEX alert_by_time ON alert (tenant, triggered_at_us);
  CREATE INDEX alert_by_device ON alert (tenant, device_id, triggered_at_us);
  CREATE TABLE anomaly (
    id TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    device_id TEXT COLLATE "C" NOT NULL,
    metric TEXT NOT NULL,
    detector_id TEXT NOT NULL,
    event_time_us BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    score DOUBLE PRECISION NOT NULL
  );
  CREATE INDEX anomaly_by_time ON anomaly (tenant, event_time_us);
  CREATE INDEX anomaly_by_device ON anomaly (tenant, device_id, event_time_us);
  CREATE TABLE dead_letter (
    topic_partition INTEGER NOT NULL,
    topic_offset BIGINT NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    device_id TEXT COLLATE "C" NOT NULL, -- Empty when the message named no device.
    received_at_us BIGINT NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (topic_partition, topic_offset)
  );
  CREATE INDEX dead_letter_by_time ON dead_letter (tenant, received_at_us);
  CREATE INDEX dead_letter_by_device ON dead_letter (tenant, device_id, received_at_us);
  CREATE TABLE lease (
    name TEXT COLLATE "C" PRIMARY KEY,
    epoch BIGINT NOT NULL
  );
  CREATE TABLE writer_offset (
    topic TEXT COLLATE "C",
    partition INTEGER,
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (topic, partition)
  );
`

/** Checkpoints of the stream stage, when that was a process. */
const STREAM_TABLES = `
  CREATE TABLE stream_progress (
    partition INTEGER PRIMARY KEY,
    next_offset BIGINT NOT NULL,
    clock_us DOUBLE PRECISION NOT NULL
  );
  CREATE TABLE stream_part (
    partition INTEGER,
    name TEXT COLLATE "C",
    bytes BYTEA NOT NULL,
    PRIMARY KEY (partition, name)
  );
  CREATE TABLE stream_definition (
    partition INTEGER,
    kind TEXT COLLATE "C", -- s a series, t a text.
    number BIGINT,
    definition TEXT NOT NULL, -- JSON.
    PRIMARY KEY (partition, kind, number)
  );
`

/** Which ranges the installation's stores have (`store-list.ts`); at `postgres.url` alone. */
const STORE_LIST_TABLE = `
  CREATE TABLE store_list (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only), -- One row.
    ranges TEXT NOT NULL
  );
`

/**
 * Partitions are numbered anew in each generation of the topics. Of coverage from before nobody
 * knows how many partitions there were, until its writer says so.
 */
const GENERATIONS = `
  ALTER TABLE stream_progress ADD COLUMN generation INTEGER NOT NULL DEFAULT 1,
    DROP CONSTRAINT stream_progress_pkey, ADD PRIMARY KEY (generation, partition);
  ALTER TABLE stream_part ADD COLUMN generation INTEGER NOT NULL DEFAULT 1,
    DROP CONSTRAINT stream_part_pkey, ADD PRIMARY KEY (generation, partition, name);
  ALTER TABLE stream_definition ADD COLUMN generation INTEGER NOT NULL DEFAULT 1,
    DROP CONSTRAINT stream_definition_pkey,
    ADD PRIMARY KEY (generation, partition, kind, number);
  ALTER TABLE coverage ADD COLUMN generation INTEGER NOT NULL DEFAULT 1,
    ADD COLUMN partitions INTEGER, -- Of all that the generation has.
    DROP CONSTRAINT coverage_pkey, ADD PRIMARY KEY (generation, partition);
`

/**
 * Alerts are a stage of their own, whose state is in the control store. In the same schema, so the
 * names that this table and its indices had are taken on the way here: no other table may have
 * them.
 */
const WITHOUT_ALERTS = 'DROP TABLE alert'

/** The stream stage is a job of Flink, whose state is with Flink. */
const WITHOUT_STREAM_STATE = 'DROP TABLE IF EXISTS stream_progress, stream_part, stream_definition'

/**
 * The nth leads from version n to n + 1. Published steps never change. `timescale`: where the
 * extension's functions are.
 */
const stepsOf = (timescale: string | undefined): readonly string[] => [
  FIRST_TABLES +
    (timescale === undefined ? cutTables(true) : cutTables(false) + hypertablesDdl(timescale)),
  STREAM_TABLES,
  STORE_LIST_TABLE,
  GENERATIONS,
  WITHOUT_ALERTS,
  WITHOUT_STREAM_STATE,
  COLD_TABLES,
  ERASURE_TABLES,
  ROLLUP_TABLES,
  HISTORY_TABLES,
]

/** Errors: DATA_FORMAT_NEWER, and PostgreSQL's own. */
export async function migrate(client: pg.ClientBase, schema: string): Promise<void> {
  const steps = stepsOf(await findTimescale(client))
  await migrateTables(client, { schema, versionTable: 'storage_version', steps })
}

/**
 * What the tables were made as, which may be another than they would be made as now. `partitions`:
 * as for MonthPartitions. Errors: STORAGE_UNAVAILABLE, and PostgreSQL's own.
 */
export async function openTimeTables(
  client: pg.ClientBase,
  partitions: number,
): Promise<TimeTables> {
  const { rows } = await client.query<{ isPartitioned: boolean }>(
    `SELECT relkind = 'p' AS "isPartitioned" FROM pg_class WHERE oid = 'reading'::regclass`,
  )
  if (rows[0]!.isPartitioned) return new MonthPartitions(partitions)
  const timescale = await findTimescale(client)
  if (timescale !== undefined) return new Hypertables(timescale)
  const detail = 'The tables were made with TimescaleDB, whose extension is not there any more'
  throw new WeirError('STORAGE_UNAVAILABLE', detail)
}
