/** The stream's thread: pure computation between two ports. */
import { workerData } from 'node:worker_threads'
import { streamSamples } from './stage-metrics.ts'
import { LiveTap } from './live-tap.ts'
import { serve } from './rpc.ts'
import { StreamLoop } from './stream-loop.ts'
import type { FrameMessage, MainEvent, StreamControl, StreamThread, ThreadData } from './threads.ts'

const { config, plan, tenant, calls, events, upstream, downstream } = workerData as ThreadData

/** Device numbers are never reused, so they may exceed the count of devices. */
const DEVICE_NUMBER_MAX = 4_000_000

const tell = (event: MainEvent): void => events.postMessage(event)
const tap = new LiveTap((event) => tell({ live: { tenant, event } }))
const loop = new StreamLoop({
  plan,
  limits: {
    ...config.stream,
    // Memory is given back by checkpoints alone: one must be due before it is full.
    checkpointReadings: Math.min(
      config.stream.checkpointReadings,
      Math.ceil(config.storage.memoryReadingsMax / 2),
    ),
    seriesMax: config.gateway.seriesMax,
    deviceMax: DEVICE_NUMBER_MAX,
  },
  alert: (message) => tell({ ruleEvents: message }),
  send: (message, transfer) => downstream!.postMessage(message, transfer),
  watch: tap,
})
upstream!.on('message', (message: FrameMessage) => loop.frame(message))
downstream!.on('message', (message: StreamControl) => loop.control(message))

const methods: StreamThread = {
  flush: (upTo) => loop.flush(upTo),
  follow: (deviceIds) => tap.follow(deviceIds),
  alertsTaken: (offset) => loop.alertsTaken(offset),
  alertsFailing: () => loop.alertsFailing(),
  metrics: () => streamSamples(loop.processor),
  stop: () => loop.flush(),
}
serve(calls, methods as never)
