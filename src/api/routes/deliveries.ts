/** What was sent to whom, what waits, and what nobody took. */
import { Type } from 'typebox'
import type { Delivery as DeliveryRecord } from '../../alerts/alerts.ts'
import type { AlertPorts } from '../api.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { Limit, MaybeMilliseconds, Milliseconds, millisecondsOf } from '../shapes.ts'

const TAG = 'alerts'
const STATES = ['waiting', 'delivered', 'dead', 'suppressed'] as const

export const Delivery = Type.Object({
  id: Type.String({ description: 'Also the idempotency key.' }),
  recipient_id: Type.String(),
  channel: Type.String(),
  alert_ids: Type.Array(Type.String()),
  change: Type.String({ description: 'Why: opened, reopened, escalated, reminded or resolved.' }),
  state: Type.Enum([...STATES], { description: 'dead: it will not be tried again by itself.' }),
  created_at: Milliseconds,
  attempts: Type.Integer(),
  next_try_at: MaybeMilliseconds,
  delivered_at: MaybeMilliseconds,
  problem: Type.Union([Type.String(), Type.Null()], {
    description: 'The last refusal, or why it was suppressed.',
  }),
})

export const deliveryJson = (delivery: DeliveryRecord) => ({
  id: delivery.id,
  recipient_id: delivery.recipientId,
  channel: delivery.channel,
  alert_ids: delivery.alertIds,
  change: delivery.change,
  state: delivery.state,
  created_at: delivery.createdAtUs / 1000,
  attempts: delivery.attempts,
  next_try_at: millisecondsOf(delivery.nextTryAtUs),
  delivered_at: millisecondsOf(delivery.deliveredAtUs),
  problem: delivery.problem ?? null,
})

export function deliveryRoutes({ ports: { alerts } }: Services<AlertPorts>): Route[] {
  const list = jsonRoute({
    key: 'GET /v1/deliveries',
    summary: 'Notifications and what became of them, newest first',
    tag: TAG,
    query: Type.Object({
      alert_id: Type.Optional(Type.String()),
      recipient_id: Type.Optional(Type.String()),
      state: Type.Optional(Type.Enum([...STATES])),
      limit: Limit,
    }),
    answers: {
      200: jsonAnswer('Deliveries.', Type.Object({ deliveries: Type.Array(Delivery) })),
    },
    problems: ['CONTROL_UNAVAILABLE'],
    async handle({ tenant, query }) {
      const { alert_id: alertId, recipient_id: recipientId, state, limit = 100 } = query
      const found = await alerts.deliveries(tenant, {
        ...(alertId !== undefined && { alertId }),
        ...(recipientId !== undefined && { recipientId }),
        ...(state !== undefined && { state }),
        limit,
      })
      return { status: 200, json: { deliveries: found.map(deliveryJson) } }
    },
  })
  const retry = jsonRoute({
    key: 'POST /v1/deliveries/{id}/retry',
    summary: 'Try a dead delivery again, from its beginning',
    description: 'With the same idempotency key.',
    tag: TAG,
    answers: { 200: jsonAnswer('As it is now.', Delivery) },
    problems: ['ALERT_DELIVERY_UNKNOWN', 'CONTROL_WRITE_FAILED', 'CONTROL_UNAVAILABLE'],
    async handle({ tenant, id }) {
      return { status: 200, json: deliveryJson(await alerts.retry(tenant, id)) }
    },
  })
  return [list, retry]
}
