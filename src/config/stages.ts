/**
 * All settings, one schema per stage, in that stage's words. If you add one, run `npm run docs`.
 * Defaults are for one small machine (2 cores, 4 GiB); limits are where a value stops making sense.
 */
import Type from 'typebox'
import { ALERTS } from './alert-settings.ts'
import { ENGINE } from './engine-settings.ts'
import { FLINK } from './flink-settings.ts'
import { SINK } from './sink-settings.ts'
import { SQL_SETTINGS } from './sql-settings.ts'
import {
  boolean,
  bytes,
  duration,
  integer,
  optionalText,
  port,
  secret,
  secrets,
  text,
  texts,
} from './settings.ts'

const closed = { additionalProperties: false }

const COUNT_MAX = 1_000_000_000

const HTTP = Type.Object(
  {
    host: text('127.0.0.1', 'Address to listen on; 0.0.0.0 opens it to the network.'),
    port: port(8080, 'Port; 0 takes any free one (see ports.json in the data folder).'),
    hosts: texts(
      [],
      'Further names of the server, besides loopback and `http.host`; other hosts are refused.',
    ),
    bodyBytesMax: bytes('8 MiB', ['1 KiB', '1 GiB'], 'Largest request body.'),
    inflatedBytesMax: bytes('16 MiB', ['1 KiB', '1 GiB'], 'Largest body after gzip is undone.'),
    bodiesBytesMax: bytes(
      '128 MiB',
      ['1 MiB', '64 GiB'],
      'Bodies of all requests under way, a quarter of it for one credential; beyond it 503.',
    ),
    headersTimeout: duration(
      '10s',
      ['100ms', '10m'],
      'From the connection, or the first byte of a request, to the end of its head.',
    ),
    requestTimeout: duration('60s', ['100ms', '1h'], 'The same for head and body together.'),
    idleTimeout: duration(
      '5m',
      ['1s', '1d'],
      'A client that does not take its answer for this long is disconnected.',
    ),
    connectionsMax: integer(10_000, [1, 1_000_000], 'Open connections at once.'),
  },
  { ...closed, description: 'The HTTP API and the page.' },
)

const MQTT = Type.Object(
  {
    host: text('127.0.0.1', 'Address to listen on; 0.0.0.0 opens it to the network.'),
    port: port(1883, 'Port; 0 takes any free one (see ports.json in the data folder).'),
    packetBytesMax: bytes(
      '256 KiB',
      ['1 KiB', '256 MiB'],
      'Largest packet; checked from its header, before anything is buffered.',
    ),
    connectPacketBytesMax: bytes(
      '64 KiB',
      ['128 B', '1 MiB'],
      'Largest packet of a client that is not authenticated yet.',
    ),
    connectTimeout: duration('10s', ['100ms', '10m'], 'From the connection to a complete CONNECT.'),
    connectRateMax: integer(
      1_000,
      [1, 1_000_000],
      'New connections a second from one address (an IPv6 /64), and five times that at once; further ones are reset. Behind a proxy all have its address.',
    ),
    receiveMaximum: integer(
      1_000,
      [1, 65_535],
      'QoS 1 messages that a client may have unacknowledged.',
    ),
    heldTimeout: duration(
      '30s',
      ['1s', '1h'],
      'A client that cannot be read from for this long (overload, full disk, or it does not read itself) is disconnected with 0x97, so that it tries again.',
    ),
    connectionsMax: integer(100_000, [1, 1_000_000], 'Open connections at once.'),
    connectionsPerDeviceMax: integer(
      100,
      [1, 1_000_000],
      'Open connections at once with the token of one device or gateway.',
    ),
    drainDelay: duration(
      '2s',
      ['0s', '10m'],
      'On a cluster: from GET /ready saying no until clients are sent to another gateway (0x9C), so that a balancer has noticed.',
    ),
    keepAliveMax: duration(
      '1200s',
      ['10s', '18h'],
      'Longest keep-alive; longer ones are cut to it.',
    ),
    idleTimeout: duration(
      '24h',
      ['1s', '365d'],
      'MQTT 3.1.1 cannot be told of a shorter keep-alive: there a silent client with a longer one, or none, is disconnected after this.',
    ),
  },
  { ...closed, description: 'The MQTT server.' },
)

const COAP = Type.Object(
  { port: port(5683, 'Port. Accepted and unused until CoAP is built.') },
  { ...closed, description: 'The CoAP server.' },
)

const LOG = Type.Object(
  {
    segmentBytes: bytes('64 MiB', ['64 KiB', '1 GiB'], 'Size of one log file, allocated at once.'),
  },
  { ...closed, description: 'The log: what makes an acknowledgement true.' },
)

const GATEWAY = Type.Object(
  {
    batchReadingsMax: integer(65_536, [1, 16_777_216], 'Readings that one log entry holds.'),
    lagBytesMax: bytes(
      '64 MiB',
      ['1 MiB', '64 GiB'],
      'Flushed entries that the stream may be behind before senders are slowed down.',
    ),
    seriesPerDeviceMax: integer(1_000, [1, 1_000_000], 'Series of one device.'),
    seriesMax: integer(1_000_000, [1, 100_000_000], 'Series of all devices.'),
    textsMax: integer(100_000, [0, 100_000_000], 'Different text values in the dictionary.'),
    textBytesMax: bytes('256 B', ['1 B', '64 KiB'], 'Longest text value, in UTF-8.'),
    metricsPerMessageMax: integer(1_000, [1, 65_535], 'Metrics in one message.'),
    deadLettersPerDeviceMax: integer(
      1_000,
      [0, COUNT_MAX],
      'Dead letters that are kept of one device in an hour; further ones are only counted.',
    ),
    deviceTags: texts(
      ['device_id', 'host', 'name', 'device'],
      'Line protocol: tags that name the device; the first that a line has counts.',
    ),
    autoRegister: boolean(
      false,
      'Line protocol by an admin key registers devices it does not know, as type generic.',
    ),
  },
  { ...closed, description: 'Decoding and validation of what devices send.' },
)

const STREAM = Type.Object(
  {
    stateTtl: duration(
      '24h',
      ['1m', '3650d'],
      'State of a series is forgotten when idle this long.',
    ),
    latePartialsMax: integer(
      200_000,
      [0, 100_000_000],
      'Windows that wait for late readings; beyond it the oldest are computed from storage.',
    ),
    checkpointReadings: integer(
      6_000_000,
      [1, COUNT_MAX],
      'Readings after which a checkpoint is made. A restart replays what came since the last one.',
    ),
    checkpointInterval: duration('5m', ['100ms', '1d'], 'Longest time between two checkpoints.'),
  },
  { ...closed, description: 'Deduplication, windows, detectors and rules.' },
)

const STORAGE = Type.Object(
  {
    memoryReadingsMax: integer(
      24_000_000,
      [1_000, COUNT_MAX],
      'Recent readings in memory (about 24 bytes each); older ones go into segments.',
    ),
    duckdbMemoryBytes: bytes('512 MiB', ['64 MiB', '1 TiB'], 'Memory limit of DuckDB.'),
    duckdbThreads: integer(1, [1, 256], 'Threads of DuckDB.'),
    segmentReadingsTarget: integer(
      4_000_000,
      [1_000, COUNT_MAX],
      'Segments with fewer readings are merged.',
    ),
  },
  { ...closed, description: 'Recent readings in memory, the rest in Parquet segments.' },
)

const QUERY = Type.Object(
  {
    rowsMax: integer(50_000_000, [1, COUNT_MAX], 'Rows that one query may read.'),
    concurrency: integer(
      2,
      [1, 64],
      'Queries at once (a cluster’s control role: at least 8); others wait, each tenant in turn.',
    ),
    waitingMax: integer(
      100,
      [0, 100_000],
      'Queries that wait; beyond, the tenant with most of them is refused (503).',
    ),
    timeout: duration('30s', ['100ms', '1h'], 'Longest time of a query, and longest wait for it.'),
    cacheBytes: bytes(
      '32 MiB',
      ['0 B', '64 GiB'],
      'Answers that one process keeps until something changes them; 0 B: none.',
    ),
    answerBytesMax: bytes('32 MiB', ['64 KiB', '1 GiB'], 'Bytes of one answer.'),
    ...SQL_SETTINGS,
  },
  { ...closed, description: 'Limits of a query.' },
)

const KAFKA = Type.Object(
  {
    brokers: texts([], 'Addresses to begin with, as host:port. A cluster needs at least one.'),
    topicPrefix: text('weir', 'Topics are called PREFIX.telemetry.v1 and so on.'),
    partitions: integer(
      8,
      [1, 10_000],
      'Of each topic that is made; a topic that exists already keeps its own.',
    ),
    replication: integer(3, [1, 100], 'Copies of each topic that is made.'),
    minInsyncReplicas: integer(
      2,
      [1, 100],
      'Copies that must have an entry before it is acknowledged.',
    ),
    retention: duration(
      '7d',
      ['1m', '3650d'],
      'How long topics that are made keep entries: the longest outage behind them that loses nothing.',
    ),
    saslMechanism: optionalText('PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: no SASL.'),
    saslUsername: optionalText('User of SASL.'),
    saslPassword: secret('Password of SASL.'),
    tls: boolean(false, 'TLS to the brokers.'),
    tlsCaFile: optionalText('Certificates to trust, PEM; empty: those of the system.'),
    tlsCertFile: optionalText('Own certificate, PEM.'),
    tlsKeyFile: optionalText('Its key, PEM.'),
  },
  { ...closed, description: 'Kafka, the log of a cluster.' },
)

const POSTGRES = Type.Object(
  {
    url: secret('postgresql://user:password@host:port/database. A cluster needs it.'),
    stores: secrets(
      'Several PostgreSQL for hot storage, each FROM-TO=postgresql://… with hashes of devices from ' +
        '0 to 0xffffffff, both included; together they have all. Empty: hot storage is at url.',
    ),
    schema: text('weir', 'Where the tables are; made when it is not there.'),
    devicePartitions: integer(
      4,
      [1, 256],
      'Parts by device that a month of readings is cut into when it begins; none with TimescaleDB.',
    ),
    retention: duration(
      '90d',
      ['1d', '36500d'],
      'Months (with TimescaleDB, chunks) of windows that ended this long ago are dropped; of readings too, where there is no lake.',
    ),
    // Gateways take up to 8 days from a device unless a pipeline says otherwise.
    compressAfter: duration(
      '8d',
      ['1d', '36500d'],
      'With TimescaleDB: chunks that ended this long ago are compressed, where its license allows it.',
    ),
  },
  { ...closed, description: 'PostgreSQL: registry, hot storage and the state of a cluster.' },
)

const REDIS = Type.Object(
  {
    url: secret('redis://:password@host:port; empty: cache and live events stay in the process.'),
  },
  { ...closed, description: 'Redis: the query cache and live events of a cluster.' },
)

const WRITER = Type.Object(
  {
    batchBytesMax: bytes(
      '8 MiB',
      ['64 KiB', '256 MiB'],
      'Entries of all partitions that are read, and written as one transaction a topic and partition.',
    ),
    interval: duration(
      '200ms',
      ['10ms', '10s'],
      'How long a reader of Kafka waits for more entries when there are few.',
    ),
  },
  { ...closed, description: 'Readers of Kafka on a cluster: the stream stage and the writer.' },
)

/** Where a bucket is, and who may use it: for the lake and for cold readings. */
const BUCKET = {
  endpoint: optionalText('Another service than AWS that speaks S3, as http://host:9000.'),
  region: text('us-east-1', 'Region of the bucket.'),
  pathStyle: boolean(
    true,
    'The bucket stands in the path of an address, not in the host’s name. AWS takes both.',
  ),
  accessKey: optionalText(
    'Who writes; empty: from the environment, the user’s files or the machine’s role, as AWS does.',
  ),
  secretKey: secret('Its secret.'),
}

const COLD = Type.Object(
  {
    bucket: optionalText(
      'Bucket for readings that are no longer warm; empty: the folder `cold` of the data folder.',
    ),
    ...BUCKET,
    encryption: text('none', 'none, AES256 or aws:kms: how the service is to encrypt them.'),
    kmsKey: optionalText('Key of aws:kms; empty: the service’s own.'),
    freezeAfterDays: integer(
      365,
      [0, 36_500],
      'Days in the bucket after which its archive takes them, once `weir storage lifecycle --set` was run; 0: never.',
    ),
    freezeClass: text('GLACIER', 'Storage class of the archive; of MinIO the name of a tier.'),
  },
  { ...closed, description: 'The object store of readings that are cold, in one process.' },
)

const LAKE = Type.Object(
  {
    bucket: optionalText('Where all readings are kept as Parquet; empty: there is no lake.'),
    ...BUCKET,
    partitions: optionalText(
      'Partitions of Kafka (of the first topics, where there were made more) that this process writes, as 0-3; empty: all. Every one belongs to one process.',
    ),
    commitReadings: integer(4_000_000, [1_000, 100_000_000], 'Readings after which it is written.'),
    commitInterval: duration(
      '5m',
      ['1s', '1d'],
      'The same, after the first of them. A commit is at least one file for each type of device.',
    ),
    readingsHeldMax: integer(
      12_000_000,
      [1_000, COUNT_MAX],
      'Readings in memory (20 bytes each, and as much again in a commit) before Kafka keeps the rest; at least twice `lake.commitReadings` counts.',
    ),
  },
  { ...closed, description: 'The lake: all readings of a cluster in an object store.' },
)

export const SECTIONS = {
  http: HTTP,
  mqtt: MQTT,
  coap: COAP,
  log: LOG,
  gateway: GATEWAY,
  stream: STREAM,
  storage: STORAGE,
  cold: COLD,
  query: QUERY,
  kafka: KAFKA,
  postgres: POSTGRES,
  redis: REDIS,
  writer: WRITER,
  lake: LAKE,
  engine: ENGINE,
  sink: SINK,
  flink: FLINK,
  alerts: ALERTS,
} as const

/** The keys that belong to no stage. */
export const TOP = Type.Object(
  { data: text('./weir-data', 'The data folder: everything that Weir keeps is in it.') },
  closed,
)
