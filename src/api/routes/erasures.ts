/** Erasing what devices said, for good. */
import { Type } from 'typebox'
import { eachDevice } from '../../control/control.ts'
import { WeirError } from '../../errors/errors.ts'
import type { ErasurePorts } from '../api.ts'
import { invalidParameter } from '../parameters.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { Time } from '../shapes.ts'
import { parseTime } from '../times.ts'
import { requireDevice } from './devices.ts'

const TAG = 'erasure'
const OWNER_TAG = 'owner'

const Span = Type.Object({ from: Type.Optional(Time), to: Type.Optional(Time) })

const Started = Type.Object({ id: Type.String() })

const Erasure = Type.Object({
  id: Type.String(),
  state: Type.Enum(['running', 'done', 'failed'], {
    description: 'What failed is tried again, and goes on after a restart.',
  }),
  problem: Type.Union([Type.String(), Type.Null()]),
  receipt: Type.Union(
    [
      Type.Object({
        erasure: Type.Record(Type.String(), Type.Unknown()),
        key: Type.String(),
        signature: Type.String(),
      }),
      Type.Null(),
    ],
    { description: 'Signed by the installation’s key (Ed25519); null until it is done.' },
  ),
})

export function erasureRoutes({ ports }: Services<ErasurePorts>): Route[] {
  const start = async (
    tenant: string,
    deviceIds: string[],
    query: { from?: string; to?: string },
  ): Promise<{ status: number; json: unknown }> => {
    const fromUs = query.from === undefined ? undefined : parseTime(query.from, 'from')
    const toUs = query.to === undefined ? undefined : parseTime(query.to, 'to')
    if (fromUs !== undefined && toUs !== undefined && toUs < fromUs) {
      throw invalidParameter('to', 'lies before from')
    }
    return {
      status: 202,
      json: { id: await ports.erasures.start(tenant, deviceIds, { fromUs, toUs }) },
    }
  }
  return [
    jsonRoute({
      key: 'DELETE /v1/devices/{id}/data',
      summary: 'Erases what a device said, everywhere',
      description:
        'Readings, windows, dead letters, anomalies and alerts that ended, whose event time lies from ' +
        '`from` up to `to` (excluded); without them everything until now. From the answer on nothing ' +
        'of it is shown, and what of it comes again is not stored. The device stays registered.',
      tag: TAG,
      query: Span,
      answers: { 202: jsonAnswer('It is being erased.', Started) },
      problems: ['API_NOT_FOUND'],
      async handle({ tenant, id, query }) {
        await requireDevice(ports, tenant, id)
        return start(tenant, [id], query)
      },
    }),
    jsonRoute({
      key: 'DELETE /v1/owners/{id}/data',
      summary: 'Erases what all devices of an owner said',
      description: 'Of devices whose tag `owner` is this; else as for one device.',
      tag: TAG,
      query: Span,
      answers: { 202: jsonAnswer('It is being erased.', Started) },
      problems: ['API_NOT_FOUND'],
      async handle({ tenant, id, query }) {
        const devices = await devicesOf(ports, tenant, id)
        if (devices.length === 0) {
          throw new WeirError('API_NOT_FOUND', `no device has the tag owner "${id}"`)
        }
        return start(tenant, devices, query)
      },
    }),
    jsonRoute({
      key: 'GET /v1/erasures/{id}',
      summary: 'How far an erasure is, and its receipt',
      tag: TAG,
      answers: { 200: jsonAnswer('Its state.', Erasure) },
      problems: ['API_NOT_FOUND'],
      async handle({ tenant, id }) {
        const found = await ports.erasures.find(tenant, id)
        if (found === undefined) throw new WeirError('API_NOT_FOUND', `there is no erasure "${id}"`)
        const { state, problem = null, receipt = null } = found
        return { status: 200, json: { id, state, problem, receipt } }
      },
    }),
  ]
}

async function devicesOf(
  { control }: ErasurePorts,
  tenant: string,
  owner: string,
): Promise<string[]> {
  const ids: string[] = []
  for await (const { id, tags } of eachDevice(control, tenant)) {
    if (tags[OWNER_TAG] === owner) ids.push(id)
  }
  return ids
}
