/**
 * The table of layers *is* the architecture: who wants another arrow changes the table, and says
 * why.
 */

/** Which folder of src may import which others; each only such that stand above it here. */
export const LAYERS: Record<string, readonly string[]> = {
  errors: [],
  batch: [],
  world: ['errors'],
  config: ['errors'],
  schedule: [],
  observe: ['errors', 'world'],
  mqtt: ['errors'],
  'line-protocol': ['errors'],
  pipeline: ['batch', 'config', 'errors', 'schedule'],
  sqlite: ['errors'],
  redis: ['errors', 'world'],
  'postgres-client': ['errors'],
  control: ['errors', 'postgres-client', 'sqlite', 'world'],
  kafka: ['errors', 'world'],
  log: ['errors', 'kafka', 'world'],
  'line-sink': ['batch', 'errors', 'world'],
  objects: ['errors', 'world'],
  arrow: [],
  parquet: [],
  notify: ['errors', 'schedule', 'world'],
  lake: ['batch', 'errors', 'objects', 'parquet', 'world'],
  'lake-engine': ['errors', 'lake', 'world'],
  flink: ['errors', 'kafka', 'objects', 'world'],
  stream: ['batch', 'errors', 'pipeline', 'schedule'],
  query: ['batch', 'errors', 'schedule', 'stream'],
  entries: ['batch', 'errors', 'pipeline', 'stream'],
  cache: ['query', 'redis', 'world'],
  postgres: [
    ...['batch', 'errors', 'lake', 'lake-engine', 'objects', 'postgres-client', 'query'],
    ...['stream', 'world'],
  ],
  backup: ['errors', 'objects', 'world'],
  storage: [
    'backup',
    'batch',
    'errors',
    'lake',
    'objects',
    'parquet',
    'query',
    'sqlite',
    'stream',
    'world',
  ],
  alerts: [
    ...['batch', 'control', 'errors', 'notify', 'observe', 'pipeline', 'schedule', 'stream'],
    'world',
  ],
  gateway: [
    ...['batch', 'control', 'errors', 'line-protocol', 'log'],
    ...['mqtt', 'observe', 'pipeline', 'world'],
  ],
  backtest: ['alerts', 'batch', 'pipeline', 'query', 'stream'],
  sql: ['errors'],
  api: [
    ...['alerts', 'arrow', 'backtest', 'batch', 'config', 'control', 'errors', 'gateway'],
    ...['observe', 'parquet', 'pipeline', 'query', 'schedule', 'sql', 'world'],
  ],
  fanout: ['api', 'redis', 'world'],
  web: ['api', 'errors', 'query', 'world'],
  fleet: ['errors', 'world'],
  embedded: [
    ...['alerts', 'api', 'backtest', 'backup', 'batch', 'config', 'control', 'errors', 'gateway'],
    ...['log', 'notify', 'objects', 'observe', 'pipeline', 'query', 'sql', 'storage'],
    ...['stream', 'world'],
  ],
  cluster: [
    ...['alerts', 'api', 'backtest', 'batch', 'cache', 'config', 'control', 'embedded', 'entries'],
    ...['errors', 'fanout', 'flink', 'gateway', 'kafka', 'lake', 'lake-engine', 'line-sink', 'log'],
    ...['objects', 'observe', 'parquet', 'pipeline', 'postgres', 'postgres-client', 'query', 'sql'],
    ...['stream', 'world'],
  ],
  cli: [
    ...['api', 'backtest', 'backup', 'cluster', 'config', 'embedded', 'entries', 'errors', 'fleet'],
    ...['flink', 'lake', 'objects', 'observe', 'pipeline', 'query', 'world'],
  ],
}
