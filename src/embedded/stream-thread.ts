/** The stream's thread: pure computation between two ports. */
import { workerData } from 'node:worker_threads'
import { StreamProcessor } from '../stream/processor.ts'
import { streamSamples } from './stage-metrics.ts'
import { LiveTap } from './live-tap.ts'
import { serve, transferOf } from './rpc.ts'
import type {
  FrameMessage,
  MainEvent,
  StreamControl,
  StreamMessage,
  StreamThread,
  ThreadData,
} from './threads.ts'

const { config, plan, tenant, calls, events, upstream, downstream } = workerData as ThreadData

/** Device numbers are never reused, so they may exceed the count of devices. */
const DEVICE_NUMBER_MAX = 4_000_000

const tell = (event: MainEvent): void => events.postMessage(event)
const send = (message: StreamMessage, transfer: ArrayBuffer[]): void =>
  downstream!.postMessage(message, transfer)

const { seriesMax } = config.gateway
const processor = new StreamProcessor({
  plan,
  limits: {
    ...config.stream,
    // Memory is given back by checkpoints alone: one must be due before it is full.
    checkpointReadings: Math.min(
      config.stream.checkpointReadings,
      Math.ceil(config.storage.memoryReadingsMax / 2),
    ),
    seriesMax,
    deviceMax: DEVICE_NUMBER_MAX,
  },
})
const tap = new LiveTap((event) => tell({ live: { tenant, event } }))
/** Frames that came before storage said where to begin. */
let early: FrameMessage[] | undefined = []
/** Offset of the checkpoint that storage is committing. */
let committing: number | undefined
let lastOffset = -1
let committedOffset = -1
let flushes: { offset: number; resolve: () => void }[] = []

function take({ offset, frame }: FrameMessage): void {
  const output = processor.process(offset, frame)
  lastOffset = offset
  tap.tap(output)
  const { fates, partials } = output
  send({ output }, transferOf(frame, fates, partials) as ArrayBuffer[])
  if (committing === undefined && processor.shouldCheckpoint) checkpoint()
}

function checkpoint(): void {
  const state = processor.checkpoint(lastOffset)
  committing = lastOffset
  send(
    { checkpoint: state },
    state.parts.map((part) => part.bytes.buffer),
  )
}

function committed(offset: number): void {
  committing = undefined
  committedOffset = offset
  for (const flush of flushes) if (flush.offset <= offset) flush.resolve()
  flushes = flushes.filter((flush) => flush.offset > offset)
  if (flushes.length > 0 && lastOffset > offset) checkpoint()
}

upstream!.on('message', (message: FrameMessage) => {
  if (early === undefined) take(message)
  else early.push(message)
})

downstream!.on('message', (message: StreamControl) => {
  if ('committed' in message) return committed(message.committed)
  const { state, definitions, nextOffset } = message.recovered
  processor.restore(state, definitions)
  tap.define(definitions)
  lastOffset = nextOffset - 1
  committedOffset = lastOffset
  const waiting = early ?? []
  early = undefined
  for (const frame of waiting) take(frame)
})

const methods: StreamThread = {
  flush() {
    if (lastOffset <= committedOffset) return Promise.resolve()
    return new Promise<void>((resolve) => {
      flushes.push({ offset: lastOffset, resolve })
      if (committing === undefined) checkpoint()
    })
  },
  follow: (deviceIds) => tap.follow(deviceIds),
  metrics: () => streamSamples(processor),
  stop: () => methods.flush(),
}
serve(calls, methods as never)
