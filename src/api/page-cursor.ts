/**
 * The text that stands for a place between two pages of readings. It is opaque: whoever asks sends
 * back what an answer gave, with the same question. Its form: JSON in base64url,
 * [digest of the question, time in µs, series, width].
 */
import { createHash } from 'node:crypto'
import { questionKey, type PagePlace, type ReadingsQuestion } from '../query/query.ts'
import { invalidParameter } from './parameters.ts'

const DIGEST_BYTES = 9

export function writeCursor(
  question: ReadingsQuestion,
  { timeUs, series, widthUs }: PagePlace,
): string {
  const fields = [digestOf(question), timeUs, series, widthUs]
  return Buffer.from(JSON.stringify(fields)).toString('base64url')
}

/** Errors: API_PARAMETER_INVALID. */
export function readCursor(question: ReadingsQuestion, cursor: string): PagePlace {
  const fields = parse(cursor)
  const [digest, ...numbers] = Array.isArray(fields) ? (fields as unknown[]) : []
  const [timeUs, series, widthUs] = numbers
  const isOurs =
    numbers.length === 3 && isWhole(timeUs) && isWhole(series) && isWhole(widthUs) && widthUs > 0
  if (!isOurs) throw invalidParameter('cursor', 'is not one that an answer gave as next')
  if (digest !== digestOf(question)) {
    throw invalidParameter('cursor', 'is of another question: only limit and format may change')
  }
  return { timeUs, series, widthUs }
}

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value)

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    return undefined
  }
}

const digestOf = (question: ReadingsQuestion): string =>
  createHash('sha256')
    .update(questionKey('page', { ...question, page: undefined }))
    .digest()
    .subarray(0, DIGEST_BYTES)
    .toString('base64url')
