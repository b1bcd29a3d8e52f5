/**
 * The sink: a copy of the readings in another time series database. While that is away the offsets
 * stay, Kafka keeps the rest, and the role catches up.
 */
import type { Config } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import { openLineSink } from '../line-sink/http-line-sink.ts'
import type { LineSink, LineSinkOptions, SinkBatch, SinkKind } from '../line-sink/line-sink.ts'
import type { MetricSample } from '../observe/observe.ts'
import type { PostgresWriter } from '../postgres/postgres.ts'
import { openPostgresWriter } from '../postgres/writer.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess } from './accesses.ts'
import type { Shared } from './cluster.ts'
import { metric } from './metrics.ts'
import { SinkTarget } from './sink-target.ts'
import { TopicWriter } from './topic-writer.ts'
import { growingTopic } from './topics.ts'

const KINDS: readonly SinkKind[] = [
  'influxdb1',
  'influxdb2',
  'influxdb3',
  'questdb',
  'victoriametrics',
]
/** Offsets alone are written, one after the other. */
const CONNECTIONS = 1

export class SinkRole {
  readonly #sink: LineSink
  readonly #writer: PostgresWriter
  readonly #target: SinkTarget
  readonly #work: TopicWriter<SinkBatch[]>

  /** The database need not be there. Errors: CONFIG_VALUE_INVALID, STORAGE_UNAVAILABLE. */
  static async open(shared: Shared): Promise<SinkRole> {
    const sink = openLineSink(sinkOptions(shared.config))
    const writer = await openPostgresWriter({
      place: postgresAccess(shared.config),
      clock: nodeWorld.clock,
      connections: CONNECTIONS,
    })
    return new SinkRole(shared, sink, writer)
  }

  private constructor({ topics, events, config }: Shared, sink: LineSink, writer: PostgresWriter) {
    this.#sink = sink
    this.#writer = writer
    const topic = growingTopic(topics, 'readings')
    const { batchBytesMax: bytesMax, intervalUs } = config.writer
    this.#target = new SinkTarget({
      ...{ sink, writer, topic: topic.nameOf(topic.first), limits: config.gateway },
      malformed: (topic, offset, { code, message: detail }) =>
        events?.entryMalformed({ topic, offset, code, detail }),
      refused: ({ refused: readings, refusals }) =>
        events?.sinkRefused({ readings, ...refusals[0]! }),
    })
    this.#work = new TopicWriter({
      ...{ kafka: topics.kafka, clock: nodeWorld.clock, target: this.#target, topic },
      options: { bytesMax, waitMs: intervalUs / 1000 },
      lost: (fields) => events?.entriesLost(fields),
      failed: (error) => events?.roleFailed({ role: 'sink', problem: String(error) }),
    })
  }

  start(): void {
    this.#work.start()
  }

  metrics(): MetricSample[] {
    const { written, refused, unsupported } = this.#target.totals
    return [
      metric('weir_sink_entries_total', 'Kafka entries written to the sink.', this.#work.entries),
      metric('weir_sink_readings_total', 'Readings that the sink acknowledged.', written),
      metric('weir_sink_refused_total', 'Readings that the sink does not take.', refused),
      metric('weir_sink_unsupported_total', 'Texts that the sink has no kind for.', unsupported),
    ]
  }

  /** What is under way is cut off, and written again by the next one. */
  async stop(): Promise<void> {
    const stopped = this.#work.stop()
    await this.#sink.close()
    await stopped
    await this.#writer.close()
  }
}

/** Errors: CONFIG_VALUE_INVALID. */
function sinkOptions({ sink }: Config): LineSinkOptions {
  const { url, database, organization, token, username, password, gzip: isGzipped } = sink
  const kind = KINDS.find((one) => one === sink.kind)
  if (kind === undefined) {
    const detail = `sink.kind: ${sink.kind} is none of ${KINDS.join(', ')}`
    throw new WeirError('CONFIG_VALUE_INVALID', detail)
  }
  const { clock, random } = nodeWorld
  return {
    ...{ kind, url, isGzipped, clock, random },
    ...(database !== '' && { database }),
    ...(organization !== '' && { organization }),
    ...(token !== '' && { token }),
    ...(username !== '' && { username, password }),
  }
}
