/** The devices of the crash tests, the pipeline that they send through, and how all is verified. */
import assert from 'node:assert/strict'
import { HttpDevice, MqttDevice, type Device, type Kind, type Surroundings } from './crash-load.ts'
import { checkAlerts, checkAnomalies, checkReadings, checkRefusals } from './crash-verdict.ts'
import { until, type WeirProcess } from './weir-process.ts'

export const PIPELINE = `
version: 1
types:
  pump:
    schemas:
      1: { temperature: { unit: "°C" }, pressure: { unit: bar }, running: { type: boolean } }
  meter:
    schemas:
      1: { power: { unit: kW }, energy: { unit: kWh } }
  probe:
    schemas:
      1: { serial: { unit: "1" } }
time: { disorder: 10s, allowedLateness: 8m, idleTimeout: 1h, alertStaleness: 1d }
windows: [1m, 5m]
detectors:
  - { id: pump-z, type: pump, metric: temperature, zscore: { n: 16, threshold: 4 } }
rules:
  - { id: hot, type: pump, when: "temperature > 80", for: 400ms }
  - { id: dry, type: pump, when: "running && pressure < 5" }
`

/** Doors: MQTT by its version, or HTTP with batches up to this size; large ones fill the log. */
const FLEET: { id: string; kind: Kind; door: 4 | 5 | { batchMax: number } }[] = [
  { id: 'pump-1', kind: 'pump', door: 4 },
  { id: 'pump-2', kind: 'pump', door: 5 },
  { id: 'pump-3', kind: 'pump', door: { batchMax: 20 } },
  { id: 'meter-1', kind: 'meter', door: 4 },
  { id: 'meter-2', kind: 'meter', door: 5 },
  { id: 'meter-3', kind: 'meter', door: { batchMax: 200 } },
  { id: 'probe-1', kind: 'probe', door: 5 },
  { id: 'probe-2', kind: 'probe', door: { batchMax: 20 } },
]

export const isProbe = ({ kind }: Device): boolean => kind === 'probe'

/** `name` makes the ids of one test differ from those of another fleet. */
export async function openFleet(
  weir: WeirProcess,
  around: Surroundings,
  name: string,
): Promise<Device[]> {
  const devices: Device[] = []
  for (const { id: of, kind, door } of FLEET) {
    const id = `${of}-${name}`
    const token = await weir.register({ id, type: kind })
    devices.push(
      typeof door === 'number'
        ? new MqttDevice({ id, kind, token, version: door }, around)
        : new HttpDevice({ id, kind, token, ...door }, around),
    )
  }
  return devices
}

/** A reading behind everything else: the watermark passes all windows of the load. */
export async function closeWindows(weir: WeirProcess, ts: number): Promise<void> {
  const body = { ts, metrics: { one: 1 } }
  const { status } = await weir.api('/v1/devices/closer/telemetry', { body })
  assert.equal(status, 200)
  await until('the last reading is visible', async () => {
    return (await weir.points('closer', 'one', { start: ts, end: ts + 1 })).length > 0
  })
}

export interface Span {
  fromMs: number
  toMs: number
}

/** Returns how many series were compared, reading by reading. */
export async function verifyFleet(
  weir: WeirProcess,
  devices: readonly Device[],
  span: Span,
): Promise<number> {
  let series = 0
  for (const device of devices) {
    if (device.sent.length === 0) continue
    await checkReadings(weir, device, span)
    series += Object.keys(device.sent[0]!.metrics).length
    await checkRefusals(weir, device)
    if (device.kind !== 'pump') continue
    await checkAlerts(weir, device, { hotForMs: 400 })
    await checkAnomalies(weir, device, { n: 16, threshold: 4 })
  }
  return series
}

export const count = (devices: readonly Device[], of: (device: Device) => number): number =>
  devices.reduce((sum, device) => sum + of(device), 0)

export function describe(devices: readonly Device[]): string {
  const messages = count(devices, ({ sent }) => sent.length)
  const repeats = count(devices, (device) => device.repeats)
  const refused = count(devices, ({ refused }) => refused.length)
  return `${messages} messages, ${repeats} repeats, ${refused} refused`
}
