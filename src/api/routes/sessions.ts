/** The page's sign-in and sign-out. */
import { Type } from 'typebox'
import { WeirError } from '../../errors/errors.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { endedCookie, openSession, secondsOf, sessionCookie } from '../sessions.ts'

const TAG = 'page'

export function sessionRoutes({ ports, events }: Services): Route[] {
  const { signIns } = ports
  const open = jsonRoute({
    key: 'POST /v1/session',
    summary: 'Trade a one-time sign-in code for the page’s session cookie',
    tag: TAG,
    body: Type.Object({ code: Type.String({ maxLength: 256 }) }, { additionalProperties: false }),
    answers: {
      200: {
        ...jsonAnswer('Signed in.', Type.Object({ expires_in_seconds: Type.Integer() })),
        headers: { 'Set-Cookie': 'HttpOnly, SameSite=Strict.' },
      },
    },
    problems: ['API_UNAUTHORIZED'],
    async handle({ body }) {
      const session = await openSession(signIns, body.code)
      if (session === undefined) {
        events?.signInRefused({ reason: 'the code is wrong, used or too old' })
        throw new WeirError('API_UNAUTHORIZED', 'the sign-in code is wrong, used or too old')
      }
      return {
        status: 200,
        headers: { 'set-cookie': sessionCookie(session) },
        json: { expires_in_seconds: secondsOf('session') },
      }
    },
  })
  const close = jsonRoute({
    key: 'DELETE /v1/session',
    summary: 'Sign out',
    tag: TAG,
    answers: { 204: { description: 'Signed out.', headers: { 'Set-Cookie': 'Ends the cookie.' } } },
    async handle({ session }) {
      if (session !== undefined) await signIns.take('session', session)
      return { status: 204, headers: { 'set-cookie': endedCookie } }
    },
  })
  const code = jsonRoute({
    key: 'POST /v1/session/code',
    summary: 'Make a one-time sign-in code for the page',
    description: 'Open `/?code=…` with it; a service prints no address that has one.',
    tag: TAG,
    problems: [
      ...(['API_BODY_INVALID', 'API_REQUEST_TIMEOUT', 'API_MEDIA_TYPE_UNSUPPORTED'] as const),
      'GATEWAY_BODY_TOO_LARGE',
    ],
    answers: {
      200: jsonAnswer(
        'A code, good once.',
        Type.Object({ code: Type.String(), expires_in_seconds: Type.Integer() }),
      ),
    },
    handle: async () => ({
      status: 200,
      json: { code: await signIns.create('code'), expires_in_seconds: secondsOf('code') },
    }),
  })
  return [open, close, code]
}
