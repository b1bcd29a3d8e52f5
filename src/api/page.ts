/**
 * Serves the page, and signs in whoever follows the printed link: `/?code=…` is answered with a
 * cookie and a redirect, so the code stays neither in the address bar nor in the history.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { WeirError } from '../errors/errors.ts'
import type { Services } from './services.ts'
import { sessionCookie } from './sessions.ts'
import { PAGE_HEADERS, type WebFile } from './web-files.ts'

const INDEX = '/index.html'

export function registerPage(
  app: FastifyInstance,
  files: ReadonlyMap<string, WebFile>,
  services: Pick<Services, 'sessions' | 'events'>,
): void {
  for (const [path, file] of files) {
    app.get(path, (request, reply) => sendFile(request, reply, file))
  }
  app.get<{ Querystring: { code?: unknown } }>('/', (request, reply) => {
    const { code } = request.query
    // A HEAD (a link preview) must not use the code up.
    if (request.method === 'GET' && typeof code === 'string') return signIn(reply, code, services)
    const index = files.get(INDEX)
    if (index !== undefined) return sendFile(request, reply, index)
    throw new WeirError('API_NOT_FOUND', 'the page is not built; `npm run build:web` builds it')
  })
}

function signIn(
  reply: FastifyReply,
  code: string,
  { sessions, events }: Pick<Services, 'sessions' | 'events'>,
): FastifyReply {
  const session = sessions.open(code)
  if (session !== undefined) reply.header('set-cookie', sessionCookie(session))
  else events?.signInRefused({ reason: 'the code is wrong, used or too old' })
  // Relative, so that it holds behind a proxy's prefix; the page says what the fragment means.
  const location = session === undefined ? './#sign-in-refused' : './'
  return reply
    .code(303)
    .headers({ ...PAGE_HEADERS, 'cache-control': 'no-store', location })
    .send()
}

function sendFile(request: FastifyRequest, reply: FastifyReply, file: WebFile): FastifyReply {
  reply.headers({
    ...PAGE_HEADERS,
    'content-type': file.mediaType,
    'cache-control': file.cacheControl,
    etag: file.etag,
  })
  if (request.headers['if-none-match'] === file.etag) return reply.code(304).send()
  return reply.send(file.bytes)
}
