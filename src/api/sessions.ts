/** The page's session as a cookie, and how a one-time code becomes one. */
import { SIGN_IN_LIMITS, type SignIns } from '../control/control.ts'

/**
 * The session's secret, or undefined when the code is wrong, used or too old. A code is used up
 * first, so that it never buys two sessions; when the second step fails it is lost.
 */
export async function openSession(signIns: SignIns, code: string): Promise<string | undefined> {
  return (await signIns.take('code', code)) ? signIns.create('session') : undefined
}

const COOKIE_NAME = 'weir_session'

/**
 * No `Secure`: the page is served without TLS on loopback, where a browser would drop the cookie.
 */
const COOKIE_ATTRIBUTES = 'Path=/; HttpOnly; SameSite=Strict'

export const secondsOf = (kind: keyof typeof SIGN_IN_LIMITS): number =>
  SIGN_IN_LIMITS[kind].lifetimeMs / 1000

export const sessionCookie = (session: string): string =>
  `${COOKIE_NAME}=${session}; ${COOKIE_ATTRIBUTES}; Max-Age=${secondsOf('session')}`

export const endedCookie = `${COOKIE_NAME}=; ${COOKIE_ATTRIBUTES}; Max-Age=0`

/** The session's secret in a Cookie header [RFC 6265, 4.2.1]. */
export function readSessionCookie(header: string | undefined): string | undefined {
  const pair = header?.split(';').find((part) => part.trimStart().startsWith(`${COOKIE_NAME}=`))
  return pair?.slice(pair.indexOf('=') + 1).trim()
}
