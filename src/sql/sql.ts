/**
 * Statements of SQL over what is stored, for people and their tools: one SELECT, over views of one
 * tenant, in a process of its own, which may read the files that it was given and nothing else.
 *
 * Q1 A statement sees the tenant's rows only, each identity once.
 * Q2 What is not one SELECT over the views, or asks for files, network or settings, is refused with
 *    SQL_REFUSED; what is wrong with it otherwise is SQL_INVALID. Neither changes anything.
 * Q3 Rows, bytes, memory and time are limited. Beyond a limit: QUERY_LIMIT_EXCEEDED, which says
 *    what to narrow. Who goes away ends it.
 */
import type { View } from './check-statement.ts'
import type { Scopes } from './statement-scope.ts'

export interface SqlLimits {
  rowsMax: number
  /** Of the answer, as JSON. */
  bytesMax: number
  timeMs: number
  /** Of the database of one statement. */
  memoryBytes: number
}

/** What a statement may read: files with columns as below, made by whoever stores. */
export interface SqlSource extends SqlFileSet {
  tenant: string
  /** What is older than `kept_us` by this time is not shown, µs. */
  nowUs: number
  /** Window sizes that are kept, ms. */
  windowsMs: number[]
  /** Lines of JSON of the other views; undefined where the statement does not ask for them. */
  devices: string | undefined
  alerts: string | undefined
}

/** Readings and windows, of which those that the statement cannot see may be left out. */
export interface SqlFileSet {
  /** Segments of readings: series, time (ms), micros, mantissa, scale, real. */
  readings: string[]
  /** Those of them that may hold an identity that another has, too: in the order of offsets. */
  overlapping: string[]
  /** Files of the lake's form: tenant, device_id, metric, dimensions, time, value, text_value. */
  cold: string[]
  /** Those of them of which the same is true; they were written before all that overlaps. */
  overlappingCold: string[]
  /** Those that may have readings of windows that are computed from readings. */
  uncertainCold: string[]
  /** Readings as numbers: series, time_us, value. What they have no other file has. */
  rows: string[]
  /** Partials of windows. */
  rollups: string[]
  /** Lines of JSON: {series, tenant, device_id, metric, kind, tags, kept_us (an age)}. */
  series: string
  /** Lines of JSON: {id, text}. */
  texts: string
  /** Lines of JSON: {series, start_us, end_us}: windows there are computed from readings. */
  dirty: string
  /** The same of readings that are erased, and still in files; undefined: there are none. */
  erased: string | undefined
  /** Readings from then on are shown whatever their age, µs; undefined: none. */
  shownFromUs: number | undefined
}

export type SqlValue = string | number | boolean | null | SqlValue[] | { [name: string]: SqlValue }

export interface SqlAnswer {
  columns: { name: string; type: string }[]
  rows: SqlValue[][]
}

/** What is known of a statement before it runs. */
export interface StatementLook {
  views: View[]
  scopes: Scopes
}

export type { View } from './check-statement.ts'
export { lookAtStatement, runStatement, type SqlRequest } from './run-statement.ts'
export type { SqlScope } from './scope.ts'
export type { Scopes } from './statement-scope.ts'
