/**
 * The table that other tools see. Only encodings that all of them read: strings from dictionaries,
 * times as packed deltas, values plain; all through zstd. Measured in docs/lake.md.
 */
import type { Column } from '../parquet/parquet.ts'

export const LAKE_COLUMNS: readonly Column[] = [
  { name: 'tenant', type: 'string', hasBounds: true },
  { name: 'device_id', type: 'string', hasBounds: true },
  { name: 'metric', type: 'string', hasBounds: true },
  { name: 'dimensions', type: 'string' },
  { name: 'time', type: 'int64', meaning: 'timeUs', hasBounds: true },
  { name: 'value', type: 'double', isOptional: true },
  { name: 'text_value', type: 'string', isOptional: true },
]
export const TENANT = 0
export const DEVICE_ID = 1
export const METRIC = 2
export const DIMENSIONS = 3
export const TIME = 4
export const VALUE = 5
export const TEXT_VALUE = 6

export const READINGS_FOLDER = 'readings'

/** Of a folder's value: the store's parts of a key have 255 bytes. */
const VALUE_BYTES_MAX = 200

/** What Hive writes as %XX in the name of a folder. */
const SPECIAL = /["#%'*/:=?\\{}[\]^<>|~\p{Cc}\p{Zl}\p{Zp}\p{Noncharacter_Code_Point}]/gu

/** One step of a path, as Hive names it. A value too long is cut: the rows have it whole. */
export function folderOf(name: string, value: string): string {
  let escaped = value
    .toWellFormed()
    .replaceAll(SPECIAL, (character) =>
      [...Buffer.from(character)]
        .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
        .join(''),
    )
  while (Buffer.byteLength(escaped) > VALUE_BYTES_MAX)
    escaped = Array.from(escaped).slice(0, -1).join('')
  return `${name}=${escaped === '' ? '__HIVE_DEFAULT_PARTITION__' : escaped}`
}

/** Whether the folder has the value as it stands, so that every tool reads it as it is. */
export const isPlainFolder = (name: string, value: string): boolean =>
  folderOf(name, value) === `${name}=${value}`
