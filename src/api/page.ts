/**
 * Serves the page. The printed link `/?code=…` gets the page too, which takes the code out of the
 * address bar and trades it with `POST /v1/session`: a GET must not use a code up, since link
 * previews and prefetchers send those.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { WeirError } from '../errors/errors.ts'
import { PAGE_HEADERS, type WebFile } from './web-files.ts'

const INDEX = '/index.html'

export function registerPage(app: FastifyInstance, files: ReadonlyMap<string, WebFile>): void {
  for (const [path, file] of files) {
    app.get(path, (request, reply) => sendFile(request, reply, file))
  }
  app.get('/', (request, reply) => {
    const index = files.get(INDEX)
    if (index !== undefined) return sendFile(request, reply, index)
    throw new WeirError('API_NOT_FOUND', 'the page is not built; `npm run build:web` builds it')
  })
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
