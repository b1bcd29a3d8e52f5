/** Statements that try to break out of their views, on whatever server answers them. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import type { WeirProcess } from './weir-process.ts'

/** Each is tried on a real server, which must be none the worse for it. */
const ATTACKS = [
  ...[
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "COPY (SELECT 1) TO '/tmp/weir-sql'",
  ],
  ...["ATTACH '/tmp/weir-sql.db' AS x", "SELECT * FROM read_text('/proc/self/environ')"],
  ...['SET enable_external_access = true', "SELECT current_setting('allowed_paths')"],
  ...['SELECT 1; DROP VIEW telemetry', "SELECT * FROM query('SELECT 1')", 'INSTALL httpfs'],
  ...["WITH a AS (SELECT * FROM read_blob('/etc/passwd')) SELECT * FROM a", 'PRAGMA database_list'],
  // A name that is a common table expression's elsewhere is the database's own here.
  ...[
    'WITH duckdb_views AS (SELECT * FROM duckdb_views) SELECT sql FROM duckdb_views, telemetry',
    `SELECT * FROM '/etc/passwd' WHERE 1 IN (WITH "/etc/passwd" AS (SELECT 1) SELECT 1)`,
    "SELECT json_serialize_plan('SELECT current_setting(''allowed_paths'')', optimize := true)",
  ],
  ...["SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')", 'SHOW ALL TABLES'],
]

export async function assertRefused(weir: WeirProcess): Promise<void> {
  for (const sql of ATTACKS) {
    const { status, body } = await weir.api<{ code: string }>('/v1/sql', { body: { sql } })
    assert.deepEqual([status, body.code], [403, 'SQL_REFUSED'], sql)
  }
  assert.ok(!existsSync('/tmp/weir-sql') && !existsSync('/tmp/weir-sql.db'))
}
