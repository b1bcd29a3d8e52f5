/** Who is told of alerts. */
import { Type, type Static } from 'typebox'
import type { Book, Kept, Recipient as Kind } from '../../alerts/alerts.ts'
import { WeirError } from '../../errors/errors.ts'
import type { AlertPorts } from '../api.ts'
import { create } from '../created.ts'
import { Recipient, RecipientBody, recipientJson, recipientOf } from '../recipient-json.ts'
import { ETAG_HEADER, expectedOf, keptAnswer, pageOf, withCurrent } from '../revisions.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { After, Next, PageLimit } from '../shapes.ts'

const TAG = 'recipients'

const PROBLEMS = [
  ...(['ALERT_RECIPIENT_INVALID', 'NOTIFY_ENDPOINT_INVALID', 'NOTIFY_ADDRESS_FORBIDDEN'] as const),
  ...(['CONTROL_DEFINITIONS_EXCEEDED', 'CONTROL_REVISION_STALE'] as const),
  ...(['CONTROL_WRITE_FAILED', 'CONTROL_UNAVAILABLE'] as const),
]

const kept = { ...jsonAnswer('The recipient, without its secrets.', Recipient) }

export function recipientRoutes({ ports }: Services<AlertPorts>): Route[] {
  return [
    listRoute(ports),
    createRoute(ports),
    getRoute(ports),
    putRoute(ports),
    deleteRoute(ports),
    testRoute(ports),
  ]
}

const unknown = (id: string): WeirError =>
  new WeirError('API_NOT_FOUND', `there is no recipient "${id}"`)

function listRoute({ alerts: { recipients } }: AlertPorts): Route {
  return jsonRoute({
    key: 'GET /v1/recipients',
    summary: 'List recipients by id',
    tag: TAG,
    query: Type.Object({ after: After, limit: PageLimit }),
    answers: {
      200: jsonAnswer('One page.', Type.Object({ recipients: Type.Array(Recipient), next: Next })),
    },
    problems: ['CONTROL_UNAVAILABLE'],
    async handle({ tenant, query: { after, limit = 100 } }) {
      const found = await recipients.list(tenant, { ...(after && { after }), limit: limit + 1 })
      const { items, next } = pageOf(found, limit)
      return { status: 200, json: { recipients: items.map(recipientJson), next } }
    },
  })
}

function createRoute({ alerts: { recipients }, clock }: AlertPorts): Route {
  return jsonRoute({
    key: 'POST /v1/recipients',
    summary: 'Tell somebody of alerts',
    description: 'Of all of them, unless it says which. Its id is made; PUT takes one of yours.',
    tag: TAG,
    body: RecipientBody,
    answers: { 201: { ...kept, headers: { ...ETAG_HEADER, Location: 'Its path.' } } },
    problems: PROBLEMS,
    async handle({ tenant, body }) {
      const value = recipientOf(body, undefined)
      const made = await create(recipients, { tenant, value, nowUs: clock.nowUs() })
      const headers = { location: `/v1/recipients/${made.id}` }
      return keptAnswer(made, { status: 201, headers, json: recipientJson(made) })
    },
  })
}

function getRoute({ alerts: { recipients } }: AlertPorts): Route {
  return jsonRoute({
    key: 'GET /v1/recipients/{id}',
    summary: 'One recipient',
    tag: TAG,
    answers: { 200: { ...kept, headers: ETAG_HEADER } },
    problems: ['API_NOT_FOUND', 'CONTROL_UNAVAILABLE'],
    async handle({ tenant, id }) {
      const found = await recipients.find(tenant, id)
      if (found === undefined) throw unknown(id)
      return keptAnswer(found, { status: 200, json: recipientJson(found) })
    },
  })
}

function putRoute({ alerts: { recipients } }: AlertPorts): Route {
  return jsonRoute({
    key: 'PUT /v1/recipients/{id}',
    summary: 'Make or change a recipient',
    description:
      'A webhook without `secret` keeps the one that is there for its url. `If-Match` and ' +
      '`If-None-Match: *` as for rules.',
    tag: TAG,
    body: RecipientBody,
    answers: {
      200: { ...kept, headers: ETAG_HEADER },
      201: { ...kept, description: 'It is new.', headers: ETAG_HEADER },
    },
    problems: PROBLEMS,
    async handle({ tenant, id, body, request }) {
      const asked = await expectedOf(request, () => recipients.find(tenant, id))
      return withCurrent(recipientJson, async () => {
        const { before, now } = await putRecipient(recipients, { tenant, id, body, asked })
        return keptAnswer(now, { status: before ? 200 : 201, json: recipientJson(now) })
      })
    },
  })
}

/**
 * Secrets that it keeps are those of one revision, and must not come back over newer ones: who asks
 * for no revision is tried again with the next one.
 */
async function putRecipient(
  recipients: Book<Kind>,
  put: {
    tenant: string
    id: string
    body: Static<typeof RecipientBody>
    asked: number | undefined
  },
): Promise<{ before: Kept<Kind> | undefined; now: Kept<Kind> }> {
  const { tenant, id, body, asked } = put
  const before = await recipients.find(tenant, id)
  const value = recipientOf(body, before?.value)
  try {
    const now = await recipients.put(tenant, id, value, asked ?? before?.revision ?? 0)
    return { before, now }
  } catch (error) {
    const isStale = error instanceof WeirError && error.code === 'CONTROL_REVISION_STALE'
    if (isStale && asked === undefined) return putRecipient(recipients, put)
    throw error
  }
}

function deleteRoute({ alerts: { recipients } }: AlertPorts): Route {
  return jsonRoute({
    key: 'DELETE /v1/recipients/{id}',
    summary: 'Tell somebody no more',
    tag: TAG,
    answers: { 204: { description: 'It is gone.' } },
    problems: ['API_NOT_FOUND', ...PROBLEMS],
    async handle({ tenant, id, request }) {
      const expected = await expectedOf(request, () => recipients.find(tenant, id))
      const isGone = await withCurrent(recipientJson, () => recipients.remove(tenant, id, expected))
      if (!isGone) throw unknown(id)
      return { status: 204 }
    },
  })
}

function testRoute({ alerts }: AlertPorts): Route {
  return jsonRoute({
    key: 'POST /v1/recipients/{id}/test',
    summary: 'Send a message that says that it is a test',
    description: 'To each of its channels, once, whatever its quiet hours and its rate limit.',
    tag: TAG,
    answers: { 204: { description: 'All receivers took it.' } },
    problems: [
      ...(['API_NOT_FOUND', 'NOTIFY_ENDPOINT_INVALID', 'NOTIFY_ADDRESS_FORBIDDEN'] as const),
      ...(['NOTIFY_REFUSED', 'NOTIFY_UNAVAILABLE', 'CONTROL_UNAVAILABLE'] as const),
    ],
    async handle({ tenant, id }) {
      if ((await alerts.recipients.find(tenant, id)) === undefined) throw unknown(id)
      await alerts.test(tenant, id)
      return { status: 204 }
    },
  })
}
