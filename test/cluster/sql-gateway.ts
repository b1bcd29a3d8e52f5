/** A session of Flink's SQL Gateway, for tests. */
import { setTimeout as pause } from 'node:timers/promises'
import { SqlGateway } from '../../src/flink/sql-gateway.ts'

export const openSession = (
  url: string,
  properties: Record<string, string> = {},
): Promise<SqlGateway> => SqlGateway.open(url, { properties, pause: (ms) => pause(ms) })
