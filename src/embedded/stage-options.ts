/** From the configuration to the options of the stages that both engines have. */
import { fileURLToPath } from 'node:url'
import type { ApiOptions } from '../api/server.ts'
import type { Config } from '../config/config.ts'
import type { GatewayOptions } from '../gateway/gateway-stage.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import type { SqlLimits } from '../sql/sql.ts'
import { nodeWorld } from '../world/node-world.ts'

const WEB_FOLDER = fileURLToPath(new URL('../../dist/web', import.meta.url))

export function gatewayOptions(
  { gateway, mqtt }: Config,
  more: { plan: Plan; tenant: string; frameBytesMax: number },
): GatewayOptions {
  const { plan, tenant, frameBytesMax } = more
  return {
    plan,
    limits: { ...gateway, frameBytesMax },
    mqtt: {
      ...mqtt,
      connectTimeoutMs: mqtt.connectTimeoutUs / 1000,
      heldMsMax: mqtt.heldTimeoutUs / 1000,
      keepAliveMaxSeconds: mqtt.keepAliveMaxUs / 1_000_000,
      idleMsMax: mqtt.idleTimeoutUs / 1000,
    },
    deviceTags: gateway.deviceTags,
    tenant,
  }
}

/** Bytes of an answer of SQL. */
const SQL_ANSWER_BYTES_MAX = 32 << 20

/** Of statements of SQL. */
export const sqlOptions = ({ query }: Config): { limits: SqlLimits; atOnce: number } => ({
  limits: {
    ...{ rowsMax: query.sqlRowsMax, bytesMax: SQL_ANSWER_BYTES_MAX },
    ...{ timeMs: query.sqlTimeoutUs / 1000, memoryBytes: query.sqlMemoryBytes },
  },
  atOnce: query.concurrency,
})

/** `atOnceMin`: what the engine does at once anyway. */
export const apiOptions = ({ http, query }: Config, atOnceMin: number): ApiOptions => ({
  hosts: http.hosts,
  web: { folder: WEB_FOLDER, disk: nodeWorld.disk },
  limits: {
    bodyBytesMax: http.bodyBytesMax,
    inflatedBytesMax: http.inflatedBytesMax,
    bodiesBytesMax: http.bodiesBytesMax,
    headersTimeoutMs: http.headersTimeoutUs / 1000,
    requestTimeoutMs: http.requestTimeoutUs / 1000,
    idleTimeoutMs: http.idleTimeoutUs / 1000,
    connectionsMax: http.connectionsMax,
    questionsAtOnce: Math.max(query.concurrency, atOnceMin),
    statementsAtOnce: query.concurrency,
    questionsWaitingMax: query.waitingMax,
    questionTimeMs: query.timeoutUs / 1000,
    answerBytesMax: query.answerBytesMax,
  },
})
