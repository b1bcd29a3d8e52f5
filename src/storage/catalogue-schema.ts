/**
 * The catalogue's tables. A new folder gets format 1 and all migrations. If you change a table,
 * raise the format and add a migration; published ones never change.
 */
import type { DatabaseSync } from 'node:sqlite'
import { addRowChecksums } from '../sqlite/sqlite.ts'
import { COLD_SCHEMA } from './cold-tables.ts'
import { ERASURE_SCHEMA } from './erasure-tables.ts'
import { SUMMARY_SCHEMA } from './summary-tables.ts'

export const CATALOGUE_FORMAT = 8

/** By the format that it leads from. Each runs in one transaction with its new format. */
export const CATALOGUE_MIGRATIONS: Record<number, (database: DatabaseSync) => void> = {
  1: addEncodings,
  2: addChecksums,
  3: dropAlerts,
  4: addColdFiles,
  5: (database) => database.exec(ERASURE_SCHEMA),
  6: beginSummaries,
  // Format 8: a kind of segments, minutes of fleets, that earlier versions take for readings.
  7: () => undefined,
}

/** Tables of format 2 by their primary keys. */
const TABLES: Record<string, string[]> = {
  meta: ['key'],
  segments: ['file'],
  series: ['series'],
  texts: ['id'],
  state_parts: ['name'],
  dirty_ranges: ['series', 'start_us'],
  rollup_coverage: ['window_ms'],
  alerts: ['id'],
  anomalies: ['id'],
  dead_letters: ['offset', 'index'],
}

/** Format 2: who wrote a segment and where its tables are; a state part's length when unpacked. */
function addEncodings(database: DatabaseSync): void {
  database.exec(`
ALTER TABLE segments ADD COLUMN format INTEGER NOT NULL DEFAULT 1;
ALTER TABLE segments ADD COLUMN tail_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segments ADD COLUMN tail_crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state_parts ADD COLUMN plain_length INTEGER NOT NULL DEFAULT 0;
`)
}

/** Format 3: the CRC32 of each segment's file (null: not known yet), and of each row. */
function addChecksums(database: DatabaseSync): void {
  database.exec('ALTER TABLE segments ADD COLUMN file_crc INTEGER')
  for (const [table, keys] of Object.entries(TABLES)) {
    addRowChecksums(database, table, keys)
  }
}

/** Format 4: alerts are a stage of their own, whose state is in the control store. */
function dropAlerts(database: DatabaseSync): void {
  database.exec('DROP TABLE alerts')
}

/** Format 5: files in the object store. */
function addColdFiles(database: DatabaseSync): void {
  database.exec(COLD_SCHEMA)
}

/**
 * Format 7: what was summed up is no coverage of the stream's windows of that size, of which it was
 * one row. Which was which cannot be told, so all of it is summed up anew.
 */
function beginSummaries(database: DatabaseSync): void {
  database.exec(SUMMARY_SCHEMA)
  database.exec("DELETE FROM segments WHERE kind = 'summary'")
  database.exec('DELETE FROM rollup_coverage WHERE window_ms IN (3600000, 86400000)')
}

/** Format 1. */
export const CATALOGUE_SCHEMA = `
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS segments (
  file TEXT PRIMARY KEY, kind TEXT NOT NULL, first_offset INTEGER NOT NULL,
  last_offset INTEGER NOT NULL, row_count INTEGER NOT NULL, bytes INTEGER NOT NULL,
  min_series INTEGER NOT NULL, max_series INTEGER NOT NULL,
  min_time_us INTEGER NOT NULL, max_time_us INTEGER NOT NULL, has_unverified INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS series (
  series INTEGER PRIMARY KEY, device INTEGER NOT NULL, tenant TEXT NOT NULL,
  device_id TEXT NOT NULL, device_type TEXT NOT NULL, metric TEXT NOT NULL,
  dimensions TEXT NOT NULL, kind TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS state_parts (
  name TEXT PRIMARY KEY, position INTEGER NOT NULL, length INTEGER NOT NULL, crc INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS dirty_ranges (
  series INTEGER NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL,
  PRIMARY KEY (series, start_us)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rollup_coverage (
  window_ms INTEGER PRIMARY KEY, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS alerts (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, device_id TEXT NOT NULL,
  triggered_at_us INTEGER NOT NULL, event TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS alerts_by_time ON alerts (tenant, triggered_at_us);
CREATE INDEX IF NOT EXISTS alerts_by_device ON alerts (tenant, device_id, triggered_at_us);
CREATE TABLE IF NOT EXISTS anomalies (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, device_id TEXT NOT NULL,
  event_time_us INTEGER NOT NULL, event TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS anomalies_by_time ON anomalies (tenant, event_time_us);
CREATE INDEX IF NOT EXISTS anomalies_by_device ON anomalies (tenant, device_id, event_time_us);
CREATE TABLE IF NOT EXISTS dead_letters (
  "offset" INTEGER NOT NULL, "index" INTEGER NOT NULL, tenant TEXT NOT NULL,
  device_id TEXT NOT NULL, received_at_us INTEGER NOT NULL, code TEXT NOT NULL,
  detail TEXT NOT NULL, payload TEXT NOT NULL, PRIMARY KEY ("offset", "index")
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dead_letters_by_device
  ON dead_letters (tenant, device_id, "offset", "index");
`
