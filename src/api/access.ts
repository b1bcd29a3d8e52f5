/**
 * Who may do what: the one table of all routes, and the one place that decides. A route that is not
 * in the table does not compile, and a request that passes `authorise` has passed everything.
 */
import type { Principal } from '../control/control.ts'
import { WeirError } from '../errors/errors.ts'

/** `{name}` is a path parameter. */
export const ACCESS = {
  'POST /v1/devices': 'admin',
  'GET /v1/devices': 'admin',
  'GET /v1/devices/{id}': 'admin',
  'GET /v1/devices/{id}/latest': 'admin-or-own',
  'POST /v1/devices/{id}/telemetry': 'writer',
  'DELETE /v1/devices/{id}/data': 'admin',
  'DELETE /v1/owners/{id}/data': 'admin',
  'GET /v1/erasures/{id}': 'admin',
  'POST /v1/telemetry': 'writer',
  'POST /api/v2/write': 'writer',
  'POST /write': 'writer',
  'GET /v1/query': 'admin',
  'GET /v1/aggregations': 'admin',
  'GET /v1/latest': 'admin',
  'POST /v1/sql': 'admin',
  'GET /v1/dead-letters': 'admin',
  'GET /v1/alerts': 'admin',
  'POST /v1/alerts': 'admin',
  'GET /v1/alerts/{id}': 'admin',
  'POST /v1/alerts/{id}/acknowledge': 'admin',
  'POST /v1/alerts/{id}/snooze': 'admin',
  'POST /v1/alerts/{id}/wake': 'admin',
  'POST /v1/alerts/{id}/notes': 'admin',
  'GET /v1/rules': 'admin',
  'GET /v1/rules/{id}': 'admin',
  'PUT /v1/rules/{id}': 'admin',
  'DELETE /v1/rules/{id}': 'admin',
  'GET /v1/recipients': 'admin',
  'POST /v1/recipients': 'admin',
  'GET /v1/recipients/{id}': 'admin',
  'PUT /v1/recipients/{id}': 'admin',
  'DELETE /v1/recipients/{id}': 'admin',
  'POST /v1/recipients/{id}/test': 'admin',
  'GET /v1/silences': 'admin',
  'POST /v1/silences': 'admin',
  'GET /v1/silences/{id}': 'admin',
  'PUT /v1/silences/{id}': 'admin',
  'DELETE /v1/silences/{id}': 'admin',
  'GET /v1/deliveries': 'admin',
  'POST /v1/deliveries/{id}/retry': 'admin',
  'GET /v1/anomalies': 'admin',
  'GET /v1/live': 'admin',
  'POST /v1/rules/backtest': 'admin',
  'GET /v1/storage': 'admin',
  'POST /v1/storage/flush': 'admin',
  'POST /v1/storage/exported': 'admin',
  'POST /v1/storage/verifications': 'admin',
  'GET /v1/storage/verifications/{id}': 'admin',
  'GET /v1/storage/lifecycle': 'admin',
  'PUT /v1/storage/lifecycle': 'admin',
  'GET /v1/storage/restores': 'admin',
  'POST /v1/storage/restores': 'admin',
  'POST /v1/backups': 'admin',
  'DELETE /v1/backups': 'admin',
  'GET /v1/backups/{id}': 'admin',
  'POST /v1/session': 'anyone',
  'DELETE /v1/session': 'anyone',
  'POST /v1/session/code': 'admin',
  'GET /metrics': 'scraper',
  'GET /health': 'anyone',
  'GET /ready': 'anyone',
  'GET /openapi.json': 'anyone',
  'GET /ping': 'anyone',
  'GET /api/v2/ping': 'anyone',
  'POST /query': 'writer',
} as const satisfies Record<string, Access>

/**
 * admin         an admin key, or a session of the page.
 * admin-or-own  also a device or gateway for its own id in the path.
 * writer        any key or token; a device's only for its own id in the path (the messages' own
 *               devices are the gateway's business), and `historical` not with a device's.
 * scraper       anyone from this machine, an admin from elsewhere.
 * anyone        no secret at all.
 */
export type Access = 'admin' | 'admin-or-own' | 'writer' | 'scraper' | 'anyone'

export type RouteKey = keyof typeof ACCESS

/** What decides, as far as it is known before parameters and body are read. */
export interface Claim {
  access: Access
  /** Who the credential says it is; undefined without one. A wrong one never gets here. */
  principal: Principal | undefined
  /** The `{id}` of the path. */
  pathDeviceId: string | undefined
  isHistorical: boolean
  /** The peer is this machine itself and no proxy in between says otherwise. */
  isLocal: boolean
}

/**
 * Returns who is behind the request. Throws API_UNAUTHORIZED, API_FORBIDDEN,
 * GATEWAY_DEVICE_FORBIDDEN.
 */
export function authorise(claim: Claim): Principal | undefined {
  const { access, principal } = claim
  if (access === 'anyone') return principal
  if (access === 'scraper' && principal === undefined && claim.isLocal) return undefined
  if (principal === undefined) throw new WeirError('API_UNAUTHORIZED', 'no credential was sent')
  if (principal.kind === 'admin') return principal
  if (access === 'writer') return authoriseWriter(principal, claim)
  if (access === 'admin-or-own' && principal.deviceId === claim.pathDeviceId) return principal
  throw new WeirError('API_FORBIDDEN', `a ${principal.kind} token may only write telemetry`)
}

function authoriseWriter(principal: Principal, claim: Claim): Principal {
  if (principal.kind !== 'device') return principal
  if (claim.isHistorical) {
    throw new WeirError('API_FORBIDDEN', 'historical: only for admin and gateway keys')
  }
  if (claim.pathDeviceId !== undefined && claim.pathDeviceId !== principal.deviceId) {
    throw new WeirError(
      'GATEWAY_DEVICE_FORBIDDEN',
      `the token of ${principal.deviceId} may not write for ${claim.pathDeviceId}`,
    )
  }
  return principal
}
