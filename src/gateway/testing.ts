/**
 * For tests of the gateway: a decoder over a registry in memory, and what it wrote as plain data.
 */
import { decodeFrame, type DeadLetter } from '../batch/batch.ts'
import type { Device, DeviceReader } from '../control/control.ts'
import { compilePipeline } from '../pipeline/compile.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { BatchBuilder } from './batch-builder.ts'
import { DeadLetterBox } from './dead-letter-box.ts'
import { DeviceTable } from './device-state.ts'
import { GatewayTypes } from './device-types.ts'
import { Dictionary } from './dictionary.ts'
import { FrameRoom } from './frame-room.ts'
import { TimeKeeper } from './event-time.ts'
import { LineDoor } from './line-door.ts'
import { MessageWriter } from './message.ts'
import { ShapeMatcher } from './shape-matcher.ts'
import { TelemetryDecoder, type Sender } from './telemetry-decoder.ts'

export const NOW_US = 1_760_000_000_000_000

export const PLAN: Plan = compilePipeline({
  version: 1,
  types: {
    pump: {
      schemas: {
        1: {
          temperature: { unit: '°C', min: -40, max: 150 },
          pressure: { unit: 'bar', min: 0, max: 10, required: false },
          running: { type: 'boolean', required: false },
          mode: { type: 'text', required: false },
        },
      },
    },
    rack: { dimensions: ['slot'], schemas: { 1: { load: { unit: '%', min: 0, max: 100 } } } },
  },
})

export interface WrittenMessage {
  device: string
  eventTimeUs: number
  flags: number
  hasIdentity: boolean
  readings: Record<string, number | string>
}

/** Every id of the form TYPE-N is registered. */
const reader: DeviceReader = {
  find(tenant, id) {
    const match = /^(pump|rack|generic|child)-(\d+)$/.exec(id)
    if (match === null) return undefined
    const isChild = match[1] === 'child'
    const device: Device = {
      number: Number(match[2]) * 4 + ['pump', 'rack', 'generic', 'child'].indexOf(match[1]!),
      tenant,
      id,
      type: isChild ? 'generic' : match[1]!,
      location: undefined,
      tags: {},
      parent: isChild ? 'generic-0' : undefined,
      isGateway: id === 'generic-0',
      createdAtUs: 0,
    }
    return device
  },
  authenticate: () => undefined,
  close: async () => {},
}

export class TestGateway {
  readonly builder = new BatchBuilder()
  readonly dictionary = new Dictionary({
    seriesMax: 10_000,
    seriesPerDeviceMax: 20,
    textsMax: 100,
    definitionBytesMax: 1 << 20,
    factsBytesMax: 1 << 16,
  })
  readonly devices: DeviceTable
  readonly decoder: TelemetryDecoder
  readonly lines: LineDoor
  readonly #series = new Map<number, { name: string; kind: string }>()
  readonly #texts = new Map<number, string>()
  readonly #ids = new Map<number, string>()

  constructor() {
    const { builder, dictionary } = this
    const types = new GatewayTypes(PLAN)
    const devices = (this.devices = new DeviceTable({
      reader,
      types,
      dictionary,
      tenant: 'default',
    }))
    const time = new TimeKeeper(PLAN.time, Infinity)
    const limits = { metricsPerMessageMax: 50, textBytesMax: 64 }
    const writer = new MessageWriter({ builder, dictionary, time, limits })
    const matcher = new ShapeMatcher({ builder, dictionary, devices })
    const deadLetters = new DeadLetterBox(builder, {
      perDeviceMax: 1_000_000,
      payloadBytesMax: 65_536,
    })
    const room = new FrameRoom(this, { batchReadingsMax: 65_536, frameBytesMax: 8 << 20 })
    const decoding = { builder, devices, room, time, writer, matcher, deadLetters }
    this.decoder = new TelemetryDecoder(decoding)
    const deviceTags = ['device_id', 'host', 'name', 'device']
    this.lines = new LineDoor({ decoder: this.decoder, writer, deviceTags, makeRoom: () => {} })
  }

  /** `device` undefined: an admin, whose messages name their device. */
  sender(device: string | undefined, isHistorical = false): Sender {
    const state = device === undefined ? undefined : this.devices.find(device)
    return { tenant: 'default', device: state, mayWrite: () => true, nowUs: NOW_US, isHistorical }
  }

  json(body: string | Uint8Array, device?: string): void {
    const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
    this.decoder.decode(bytes, 0, bytes.length, this.sender(device))
  }

  /** Drops what was learned of messages' shapes, so that the next one is read the slow way. */
  forget(): void {
    this.decoder.forgetShapes()
  }

  /** Seals the batch and gives its content by name. */
  take(): { messages: WrittenMessage[]; deadLetters: DeadLetter[] } {
    const frame = this.builder.seal(NOW_US, this.dictionary.takeNew(), (n) => new ArrayBuffer(n))
    const batch = decodeFrame(frame)
    for (const { series, metric, dimensions, kind, device, deviceId } of batch.definitions
      ?.series ?? []) {
      const name = [metric, ...dimensions.map(([key, value]) => `${key}=${value}`)].join(',')
      this.#series.set(series, { name, kind })
      this.#ids.set(device, deviceId)
    }
    for (const [id, text] of batch.definitions?.texts ?? []) this.#texts.set(id, text)
    const messages: WrittenMessage[] = []
    let reading = 0
    for (let m = 0; m < batch.messageCount; m++) {
      const readings: Record<string, number | string> = {}
      for (let i = 0; i < batch.readingsInMessage[m]!; i++, reading++) {
        const { name, kind } = this.#series.get(batch.series[reading]!)!
        const value = batch.value[reading]!
        readings[name] = kind === 'text' ? this.#texts.get(value)! : value
      }
      messages.push({
        device: this.#ids.get(batch.device[m]!) ?? '?',
        eventTimeUs: batch.eventTimeUs[m]!,
        flags: batch.flags[m]!,
        hasIdentity: ((batch.identityHigh?.[m] ?? 0) | (batch.identityLow?.[m] ?? 0)) !== 0,
        readings,
      })
    }
    return { messages, deadLetters: batch.deadLetters ?? [] }
  }
}
