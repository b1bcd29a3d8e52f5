/**
 * Reads who a request claims to be. Everywhere: `Authorization: Bearer`, or the page's cookie. At
 * the line-protocol doors also what InfluxDB's clients send: `Token`, Basic (the password counts),
 * and `u`/`p` in the query.
 */
import type { Control, Principal, SignIns } from '../control/control.ts'
import { WeirError } from '../errors/errors.ts'
import { readSessionCookie } from './sessions.ts'

/** The one tenant that sessions belong to, until people have accounts. */
const SESSION_TENANT = 'default'

export interface CredentialSource {
  authorization: string | undefined
  cookie: string | undefined
  /** `u` and `p` of the query. */
  password: string | undefined
  /** The route speaks InfluxDB's dialect. */
  isLineDoor: boolean
}

export interface Identity {
  principal: Principal | undefined
  /** The page's session behind it; such a request may change things only from the page itself. */
  session: string | undefined
}

/** Throws API_UNAUTHORIZED for a credential that is wrong or of a kind not taken here. */
export async function identify(
  source: CredentialSource,
  ports: { control: Pick<Control, 'identify'>; signIns: Pick<SignIns, 'has'> },
): Promise<Identity> {
  const secret = readSecret(source)
  if (secret !== undefined) {
    const principal = await ports.control.identify(secret)
    if (principal === undefined) {
      throw new WeirError('API_UNAUTHORIZED', 'the key or token is not known')
    }
    return { principal, session: undefined }
  }
  const session = readSessionCookie(source.cookie)
  // A stale cookie is no credential rather than a wrong one: the browser sends it on its own.
  if (session === undefined || !(await ports.signIns.has('session', session))) {
    return { principal: undefined, session: undefined }
  }
  return { principal: { kind: 'admin', tenant: SESSION_TENANT }, session }
}

function readSecret(source: CredentialSource): string | undefined {
  if (source.authorization === undefined) return source.isLineDoor ? source.password : undefined
  const [, scheme = '', value = ''] = /^(\S+) +(\S+) *$/.exec(source.authorization) ?? []
  const kind = scheme.toLowerCase()
  if (kind === 'bearer') return value
  if (source.isLineDoor && kind === 'token') return afterColon(value)
  if (source.isLineDoor && kind === 'basic') {
    return afterColon(Buffer.from(value, 'base64').toString('utf8'))
  }
  const known = source.isLineDoor ? 'Bearer, Token or Basic' : 'Bearer'
  throw new WeirError('API_UNAUTHORIZED', `Authorization must be ${known} with a key or token`)
}

/** `user:password` → the password; a token alone has no colon. */
const afterColon = (text: string): string => text.slice(text.indexOf(':') + 1)
