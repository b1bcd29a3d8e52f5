/** The live stream; how it behaves is written in `live-streams.ts`. */
import { Type } from 'typebox'
import { jsonRoute, TAKEN_OVER, type Route } from '../route.ts'
import type { LiveStreams } from '../live-streams.ts'
import type { Services } from '../services.ts'
import { DeviceId } from '../shapes.ts'
import { requireDevice } from './devices.ts'

export function liveRoutes({ ports }: Services, liveStreams: LiveStreams): Route[] {
  return [
    jsonRoute({
      key: 'GET /v1/live',
      summary: 'Server-sent events: rate, reading, alert, anomaly, stream',
      description:
        'Readings of the named devices only; the rest always. Data is JSON. Nothing is resent ' +
        'after a gap: ask the queries.',
      tag: 'live',
      query: Type.Object({
        device_id: Type.Optional(
          Type.Array(DeviceId, { maxItems: 100, description: 'May be given several times.' }),
        ),
      }),
      answers: {
        200: {
          description: 'Events until either side closes.',
          content: { mediaType: 'text/event-stream', schema: Type.String() },
        },
      },
      problems: ['API_NOT_FOUND', 'GATEWAY_OVERLOADED'],
      async handle({ tenant, query: { device_id: deviceIds = [] }, session, reply }) {
        for (const id of deviceIds) await requireDevice(ports, tenant, id)
        liveStreams.checkRoom()
        reply.hijack()
        const isAllowed = async () => session === undefined || ports.signIns.has('session', session)
        liveStreams.open(reply.raw, { tenant, deviceIds }, isAllowed)
        return TAKEN_OVER
      },
    }),
  ]
}
