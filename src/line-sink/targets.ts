/** What differs between the databases: address, credentials, dialect. */
import { WeirError } from '../errors/errors.ts'
import type { LineSinkOptions, SinkKind } from './line-sink.ts'
import type { Dialect } from './line-text.ts'

export interface Target {
  /** Where lines with times in µs go. */
  writeUrl: string
  /** Where QuestDB takes SQL. */
  sqlUrl: string
  headers: Record<string, string>
  /** Never to be shown. */
  secrets: readonly string[]
  dialect: Dialect
}

const INFLUX: Dialect = {
  doublesBackslashes: false,
  escapesLineEnds: false,
  hasComments: true,
  isNarrow: false,
  hasTexts: true,
  hasQuotedFields: false,
}

const DIALECTS: Record<SinkKind, Dialect> = {
  influxdb1: INFLUX,
  influxdb2: INFLUX,
  influxdb3: INFLUX,
  questdb: {
    doublesBackslashes: true,
    escapesLineEnds: true,
    hasComments: false,
    isNarrow: true,
    hasTexts: true,
    hasQuotedFields: false,
  },
  victoriametrics: {
    ...INFLUX,
    doublesBackslashes: true,
    hasTexts: false,
    hasQuotedFields: true,
  },
}

type Place = Pick<LineSinkOptions, 'database' | 'organization'>

const ENDPOINTS: Record<SinkKind, (place: Place) => [string, Record<string, string>]> = {
  influxdb1: ({ database = '' }) => ['/write', { db: database, precision: 'u' }],
  influxdb2: ({ database = '', organization = '' }) => [
    '/api/v2/write',
    { org: organization, bucket: database, precision: 'us' },
  ],
  influxdb3: ({ database = '' }) => [
    '/api/v3/write_lp',
    { db: database, precision: 'microsecond' },
  ],
  questdb: () => ['/write', { precision: 'u' }],
  victoriametrics: () => ['/write', { precision: 'u' }],
}

/** Errors: CONFIG_VALUE_INVALID. */
export function targetOf(options: LineSinkOptions): Target {
  const { kind, url, token, username, password = '' } = options
  const base = checkedUrl(url)
  if (kind.startsWith('influxdb') && (options.database ?? '') === '') {
    throw new WeirError('CONFIG_VALUE_INVALID', `the sink ${kind} wants a database or bucket`)
  }
  const [path, parameters] = ENDPOINTS[kind](options)
  const headers: Record<string, string> = {}
  const secrets: string[] = []
  if (token !== undefined) {
    headers['authorization'] = `${kind === 'influxdb2' ? 'Token' : 'Bearer'} ${token}`
    secrets.push(token)
  } else if (username !== undefined) {
    const pair = Buffer.from(`${username}:${password}`).toString('base64')
    headers['authorization'] = `Basic ${pair}`
    secrets.push(pair, password)
  }
  return {
    writeUrl: `${base}${path}?${new URLSearchParams(parameters).toString()}`,
    sqlUrl: `${base}/exec`,
    headers,
    secrets: secrets.filter((one) => one !== ''),
    dialect: DIALECTS[kind],
  }
}

/** The address as others may see it, without a slash at the end. */
function checkedUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new WeirError('CONFIG_VALUE_INVALID', 'the sink’s url is no http(s) address')
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new WeirError('CONFIG_VALUE_INVALID', 'the sink’s url has a user, password or query')
  }
  return (url.origin + url.pathname).replace(/\/+$/, '')
}
