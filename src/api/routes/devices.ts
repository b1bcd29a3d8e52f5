/** The registry's routes. */
import { Type } from 'typebox'
import type { Device as RegisteredDevice } from '../../control/control.ts'
import { suggest } from '../../config/config.ts'
import { WeirError } from '../../errors/errors.ts'
import type { ApiPorts, ConsolePorts } from '../api.ts'
import { Meta, withMeta } from '../completeness.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { Device, DeviceId, Milliseconds, Value } from '../shapes.ts'

const TAG = 'devices'
/** Takes any metric; every other type comes from the pipeline definition. */
const GENERIC_TYPE = 'generic'

const Name = Type.String({ minLength: 1, maxLength: 128 })
const Text = Type.String({ maxLength: 256 })

const NewDevice = Type.Object(
  {
    id: DeviceId,
    type: Name,
    location: Type.Optional(Text),
    tags: Type.Optional(Type.Record(Type.String(), Text, { maxProperties: 64 })),
    parent: Type.Optional(DeviceId),
    gateway: Type.Optional(
      Type.Boolean({ description: 'May publish for every device whose parent it is.' }),
    ),
  },
  { additionalProperties: false },
)

const toAnswer = (device: RegisteredDevice) => ({
  id: device.id,
  type: device.type,
  location: device.location ?? null,
  tags: device.tags,
  parent: device.parent ?? null,
  gateway: device.isGateway,
  created_at: device.createdAtUs / 1000,
})

/** Throws API_NOT_FOUND. */
export async function requireDevice(
  ports: ApiPorts,
  tenant: string,
  id: string,
): Promise<RegisteredDevice> {
  const device = await ports.control.find(tenant, id)
  if (device === undefined) throw new WeirError('API_NOT_FOUND', `there is no device "${id}"`)
  return device
}

export function deviceRoutes(services: Services<ConsolePorts>): Route[] {
  return [createRoute(services), listRoute(services), getRoute(services), latestRoute(services)]
}

function createRoute({ ports, events }: Services): Route {
  return jsonRoute({
    key: 'POST /v1/devices',
    summary: 'Register a device',
    description: 'The token is shown this once; only its hash is kept.',
    tag: TAG,
    body: NewDevice,
    answers: {
      201: {
        ...jsonAnswer('Registered.', Type.Object({ ...Device.properties, token: Type.String() })),
        headers: { Location: 'The device’s path.' },
      },
    },
    problems: ['CONTROL_DEVICE_EXISTS'],
    async handle({ tenant, body }) {
      checkType(ports, body.type)
      await checkParent(ports, tenant, body.parent)
      const { gateway, ...rest } = body
      const created = { ...rest, isGateway: gateway }
      const { device, token } = await ports.control.createDevice(tenant, created)
      events?.deviceCreated({ deviceId: device.id, type: device.type })
      const location = `/v1/devices/${encodeURIComponent(device.id)}`
      return { status: 201, headers: { location }, json: { ...toAnswer(device), token } }
    },
  })
}

/** Those that a device may have. */
export const typesOf = ({ plan }: ApiPorts): string[] => [
  ...new Set([GENERIC_TYPE, ...Object.keys(plan.types)]),
]

function checkType(ports: ApiPorts, type: string): void {
  const known = typesOf(ports)
  if (known.includes(type)) return
  throw new WeirError('API_BODY_INVALID', `type "${type}" is not defined${suggest(type, known)}`)
}

async function checkParent(
  { control }: ApiPorts,
  tenant: string,
  parent: string | undefined,
): Promise<void> {
  if (parent === undefined) return
  if ((await control.find(tenant, parent))?.isGateway === true) return
  throw new WeirError('API_BODY_INVALID', `parent "${parent}" is not a registered gateway`)
}

function listRoute({ ports }: Services): Route {
  return jsonRoute({
    key: 'GET /v1/devices',
    summary: 'List devices by id',
    tag: TAG,
    query: Type.Object({
      after: Type.Optional(Type.String({ description: 'The `next` of the page before.' })),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
    }),
    answers: {
      200: jsonAnswer(
        'One page.',
        Type.Object({
          devices: Type.Array(Device),
          next: Type.Union([Type.String(), Type.Null()], { description: 'Null on the last page.' }),
          total: Type.Integer(),
        }),
      ),
    },
    async handle({ tenant, query: { after, limit = 100 } }) {
      // One more than asked tells whether there is a next page.
      const found = await ports.control.listDevices(tenant, { after, limit: limit + 1 })
      const devices = found.slice(0, limit).map(toAnswer)
      const next = found.length > limit ? (devices.at(-1)?.id ?? null) : null
      return {
        status: 200,
        json: { devices, next, total: await ports.control.countDevices(tenant) },
      }
    },
  })
}

function getRoute({ ports }: Services): Route {
  return jsonRoute({
    key: 'GET /v1/devices/{id}',
    summary: 'One device',
    tag: TAG,
    answers: { 200: jsonAnswer('The device.', Device) },
    problems: ['API_NOT_FOUND'],
    async handle({ tenant, id }) {
      return { status: 200, json: toAnswer(await requireDevice(ports, tenant, id)) }
    },
  })
}

function latestRoute({ ports }: Services<ConsolePorts>): Route {
  const Latest = Type.Object({ ts: Milliseconds, value: Value })
  return jsonRoute({
    key: 'GET /v1/devices/{id}/latest',
    summary: 'The latest value of each metric',
    description: 'A device’s or gateway’s token may ask for its own id.',
    tag: TAG,
    answers: {
      200: jsonAnswer(
        'By metric.',
        Type.Object({ metrics: Type.Record(Type.String(), Latest), meta: Meta }),
      ),
    },
    problems: ['API_NOT_FOUND'],
    async handle({ tenant, id }) {
      await requireDevice(ports, tenant, id)
      const { rows: metrics, meta } = await withMeta(ports, (query) => query.latest(tenant, id))
      return { status: 200, json: { metrics, meta } }
    },
  })
}
