/**
 * The one error class and the one catalogue. Codes are permanent: `STAGE_NOUN_PROBLEM`. Each row
 * decides every outside at once: HTTP status, MQTT 5 reason code, process exit code, whether a
 * retry of the same bytes can help, and what to do. If you add a row, run `npm run docs`.
 */
import { ALERT_ERRORS } from './alert-errors.ts'
import { DEFINITION_ERRORS } from './definition-errors.ts'
import { ENGINE_ERRORS } from './engine-errors.ts'
import { FLINK_ERRORS } from './flink-errors.ts'
import { BACKUP_ERRORS } from './backup-errors.ts'
import { LAKE_ERRORS } from './lake-errors.ts'
import { SQL_ERRORS } from './sql-errors.ts'
import { MQTT_ERRORS } from './mqtt-errors.ts'
import { NOTIFY_ERRORS } from './notify-errors.ts'
import { QUERY_ERRORS } from './query-errors.ts'
import { row, type CatalogueRow } from './row.ts'

const bad = { http: 422, mqtt: 0x83 }

export const ERRORS = {
  CONFIG_KEY_UNKNOWN: row(
    'A configuration key is unknown',
    { exit: 2 },
    'Correct the key; `weir config print` lists all of them.',
  ),
  CONFIG_VALUE_INVALID: row(
    'A configuration value is invalid',
    { exit: 2 },
    'Correct the value; docs/config.md gives type and range.',
  ),
  CONFIG_STORES_DIFFER: row(
    'This process has another list of stores than the installation',
    { exit: 2 },
    'Give it the installation’s postgres.stores. To change that for all: stop writer and control, ' +
      'run `weir stores accept --config FILE` with the new list, start them.',
  ),
  CLI_USAGE_INVALID: row('The command line is wrong', { exit: 2 }, 'See `weir --help`.'),
  DATA_FOLDER_LOCKED: row(
    'Another process uses this data folder',
    { exit: 3 },
    'Stop it, or give another folder with --data.',
  ),
  DATA_FORMAT_NEWER: row(
    'The data folder was written by a newer version',
    { exit: 3 },
    'Use that version of Weir, or another folder.',
  ),
  DATA_FILE_DAMAGED: row(
    'A file in the data folder is damaged',
    { exit: 3 },
    'The message names file and place; docs/damage.md says what to do.',
  ),
  PORT_IN_USE: row(
    'The port is in use',
    { exit: 3 },
    'Choose another with --http-port or --mqtt-port, or 0 for any free one.',
  ),
  PIPELINE_DEFINITION_INVALID: row(
    'The pipeline definition is invalid',
    { http: 422, exit: 2 },
    'The detail names the key and what it should be.',
  ),
  PIPELINE_RULE_INVALID: row(
    'A rule is invalid',
    { http: 422, exit: 2 },
    'The detail names the rule, the place and the known metrics.',
  ),
  LOG_DISK_FULL: row(
    'The disk is full',
    { http: 503, mqtt: 0x97, retryable: true },
    'Free some space; ingestion goes on by itself.',
  ),
  LOG_FLUSH_FAILED: row(
    'The disk failed to make data durable',
    { http: 503, mqtt: 0x97, exit: 4 },
    'Check the disk, then restart; nothing is acknowledged until then.',
  ),
  LOG_ENTRY_DAMAGED: row(
    'A log entry is damaged',
    { exit: 4 },
    'The message names segment and offset; its neighbours are served.',
  ),
  LOG_ENTRY_TOO_LARGE: row(
    'A log entry is larger than the log takes',
    {},
    'Raise log.segmentBytes, or max.message.bytes of the Kafka topic.',
  ),
  LOG_UNAVAILABLE: row(
    'Kafka does not answer, or too few replicas are in sync',
    { http: 503, mqtt: 0x97, retryable: true },
    'Look at the brokers; what waits goes on by itself once they are back.',
  ),
  LOG_OFFSET_GONE: row(
    'What is asked for is no longer in the log, or was never',
    { exit: 4 },
    'The message says which offsets are there. Raise the topic’s retention.ms, or see why the reader fell behind.',
  ),
  LOG_REQUEST_REFUSED: row(
    'Kafka refuses the request',
    { exit: 3 },
    'The message has the broker’s reason: correct user, password, certificate, rights or topic settings.',
  ),
  ENTRY_MALFORMED: row(
    'A Kafka entry is not in the format that its topic’s name promises',
    { exit: 4 },
    'It is skipped and kept as a dead letter. See which program writes to the topic.',
  ),
  GATEWAY_OVERLOADED: row(
    'The pipeline is overloaded',
    { http: 503, mqtt: 0x97, retryable: true },
    'Retry after the time in Retry-After.',
  ),
  GATEWAY_SHUTTING_DOWN: row(
    'The server is shutting down',
    { http: 503, mqtt: 0x8b, retryable: true },
    'Reconnect in a few seconds.',
  ),
  GATEWAY_REPLACED: row(
    'This gateway ends; others go on',
    { http: 503, mqtt: 0x9c, retryable: true },
    'Connect again at once: the address leads to another one.',
  ),
  GATEWAY_DEVICE_UNKNOWN: row(
    'The device is not registered',
    { http: 422, mqtt: 0x83 },
    'Register it with POST /v1/devices.',
  ),
  GATEWAY_DEVICE_MISSING: row(
    'The message names no device',
    bad,
    'Name it in "device" (line protocol: the tag device_id).',
  ),
  GATEWAY_DEVICE_FORBIDDEN: row(
    'The credential may not write for this device',
    { http: 403, mqtt: 0x87 },
    'Use the device’s own token, its gateway’s, or an admin key.',
  ),
  GATEWAY_BODY_TOO_LARGE: row(
    'The message is too large',
    { http: 413, mqtt: 0x95 },
    'Send smaller messages or batches; limits are in docs/config.md.',
  ),
  ...MQTT_ERRORS,
  TELEMETRY_JSON_INVALID: row(
    'The message is not valid JSON',
    { http: 422, mqtt: 0x99 },
    'Send {"metrics": {"name": value}}.',
  ),
  TELEMETRY_SHAPE_INVALID: row(
    'The message has the wrong shape',
    bad,
    'Send {"ts"?, "id"?, "metrics": {name: number|boolean|text}}.',
  ),
  TELEMETRY_METRICS_EMPTY: row('The message has no metrics', bad, 'Send at least one metric.'),
  TELEMETRY_METRIC_UNKNOWN: row(
    'The metric is not in the schema',
    bad,
    'Add it to the type’s schema in the pipeline definition.',
  ),
  TELEMETRY_METRIC_MISSING: row(
    'A required metric is missing',
    bad,
    'Send it, or declare it "required: false".',
  ),
  TELEMETRY_TYPE_MISMATCH: row(
    'The value has the wrong type',
    bad,
    'Send the type that the schema declares (or that the series began with).',
  ),
  TELEMETRY_VALUE_OUT_OF_RANGE: row(
    'The value is out of range',
    bad,
    'Check the sensor, or widen min and max in the schema.',
  ),
  TELEMETRY_VALUE_NOT_FINITE: row(
    'The value is not a finite number',
    bad,
    'Leave the metric out when there is no value.',
  ),
  TELEMETRY_INTEGER_TOO_LARGE: row(
    'The integer exceeds 2^53',
    bad,
    'Send it as text; Weir refuses to round.',
  ),
  TELEMETRY_TEXT_TOO_LONG: row('The text is too long', bad, 'At most 256 bytes a value.'),
  TELEMETRY_SCHEMA_UNKNOWN: row(
    'The schema version is unknown',
    bad,
    'Register it in the pipeline definition, or leave "schema" out.',
  ),
  TELEMETRY_LIMIT_EXCEEDED: row(
    'The message exceeds a limit',
    bad,
    'The detail names the limit; see docs/config.md.',
  ),
  SERIES_LIMIT: row(
    'The device has too many series',
    bad,
    'Use fewer metrics or dimensions; at most 1,000 series a device.',
  ),
  TEXT_LIMIT: row(
    'Too many different text values',
    bad,
    'Send identifiers as tags or ids, not as metrics.',
  ),
  TIME_FORMAT_INVALID: row(
    'The time is not readable',
    bad,
    'Send "ts" as milliseconds since 1970 or as RFC 3339.',
  ),
  TIME_UNIT_WRONG: row(
    'The time is not in milliseconds',
    bad,
    'The number fits as s, µs or ns (see the detail); send milliseconds.',
  ),
  TIME_TOO_OLD: row(
    'The event time is too far in the past',
    bad,
    'Replay it as historical: `weir replay`.',
  ),
  TIME_NOT_KEPT: row(
    'The event time is older than anything that is kept',
    bad,
    'Raise `retention.cold` in the pipeline definition, restart, and send it again.',
  ),
  LINE_SYNTAX_INVALID: row(
    'The line is not valid line protocol',
    bad,
    'measurement,tag=v field=1 1700000000000000000',
  ),
  API_UNAUTHORIZED: row(
    'The credential is missing or wrong',
    { http: 401, mqtt: 0x86, exit: 5 },
    'Send Authorization: Bearer <key or token>.',
  ),
  API_FORBIDDEN: row(
    'The credential does not allow this',
    { http: 403, mqtt: 0x87, exit: 5 },
    'Use an admin key.',
  ),
  API_NOT_FOUND: row('There is no such thing', { http: 404 }, 'Check the path and the id.'),
  API_METHOD_NOT_ALLOWED: row(
    'The method is not allowed here',
    { http: 405 },
    'See /openapi.json.',
  ),
  API_PARAMETER_INVALID: row(
    'A parameter is wrong',
    { http: 400, exit: 2 },
    'The detail names the parameter; see /openapi.json.',
  ),
  API_BODY_INVALID: row(
    'The body is wrong',
    { http: 400, exit: 2 },
    'The detail names the place; see /openapi.json.',
  ),
  API_MEDIA_TYPE_UNSUPPORTED: row(
    'The media type is not supported',
    { http: 415 },
    'Send application/json.',
  ),
  API_HOST_FORBIDDEN: row(
    'The Host or Origin header is not allowed',
    { http: 403 },
    'Use the address the server printed, or set http.hosts.',
  ),
  API_REQUEST_MALFORMED: row(
    'The request is not valid HTTP',
    { http: 400 },
    'Check the client, or a proxy in between.',
  ),
  API_REQUEST_TIMEOUT: row(
    'The request took too long to arrive',
    { http: 408, retryable: true },
    'Send headers and body without pauses.',
  ),
  API_PIPELINE_TOO_LONG: row(
    'Too many requests at once on one connection',
    { http: 429, retryable: true },
    'Wait for answers, or open more connections.',
  ),
  API_CONNECTIONS_EXCEEDED: row(
    'Too many connections',
    { http: 503, retryable: true },
    'Close idle ones, or raise http.connectionsMax.',
  ),
  API_NOT_READY: row(
    'The server is not ready yet',
    { http: 503, exit: 6, retryable: true },
    'Wait; the detail says what is missing.',
  ),
  CONTROL_DEVICE_EXISTS: row('The device exists already', { http: 409 }, 'Choose another id.'),
  CONTROL_WRITE_FAILED: row(
    'The registry failed to make a change durable',
    { http: 503, mqtt: 0x97, exit: 4, retryable: true },
    'Check the disk and its free space, then try again; nothing of the change was kept.',
  ),
  CONTROL_UNAVAILABLE: row(
    'The registry’s database cannot be reached',
    { http: 503, mqtt: 0x88, exit: 3, retryable: true },
    'Check that the database runs, its address, user and password; the detail has its own words.',
  ),
  STORAGE_COMMIT_FAILED: row(
    'The store failed to make data durable',
    { http: 503, exit: 4, retryable: true },
    'Check the disk and its free space; the log keeps everything until a commit succeeds.',
  ),
  STORAGE_UNAVAILABLE: row(
    'The storage’s database cannot be reached, or failed',
    { http: 503, mqtt: 0x88, exit: 3, retryable: true },
    'Check that the database runs, its address, user and password; the detail has its own words.',
  ),
  STORAGE_FENCED: row(
    'Another writer has taken over',
    { http: 503, exit: 4 },
    'Nothing was written. Claim the lease again, or leave the partition to the other writer.',
  ),
  ...DEFINITION_ERRORS,
  ...BACKUP_ERRORS,
  ...LAKE_ERRORS,
  ...ENGINE_ERRORS,
  ...SQL_ERRORS,
  ...FLINK_ERRORS,
  ...QUERY_ERRORS,
  BACKTEST_RUNNING: row(
    'A back-test is under way',
    { http: 429, retryable: true },
    'Wait for it to end; there is one at a time.',
  ),
  SINK_UNAVAILABLE: row(
    'The sink’s database does not answer',
    { http: 503, exit: 4, retryable: true },
    'Check that it runs and its address; what was not acknowledged is written again.',
  ),
  SINK_REFUSED: row(
    'The sink’s database refuses everything',
    { http: 502, exit: 4 },
    'Check database, user and token; the detail has its own words.',
  ),
  ...NOTIFY_ERRORS,
  ...ALERT_ERRORS,
  CLIENT_UNREACHABLE: row(
    'The server cannot be reached',
    { http: 503, exit: 6, retryable: true },
    'Check the address and that Weir runs.',
  ),
  INTERNAL_FAULT: row('Something broke', {}, 'This is a bug: please report it.'),
} as const satisfies Record<string, CatalogueRow>

export type ErrorCode = keyof typeof ERRORS

export class WeirError extends Error {
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: ErrorCode,
    detail?: string,
    options: { details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(detail ?? ERRORS[code].title, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'WeirError'
    this.code = code
    this.details = options.details ?? {}
  }

  get hint(): string {
    return ERRORS[this.code].hint
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable
  }
}

/** RFC 9457 problem details. */
export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  code: ErrorCode
  hint: string
}

export function toProblem(error: unknown): Problem {
  const known = error instanceof WeirError ? error : new WeirError('INTERNAL_FAULT')
  const { title, http, hint } = ERRORS[known.code]
  const type = `urn:weir:error:${known.code}`
  return { type, title, status: http, detail: known.message, code: known.code, hint }
}
