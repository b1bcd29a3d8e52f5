/** The control store's tables, for both databases from one text. */
interface Dialect {
  /** A number that the database gives, ascending, none twice. */
  serial: string
  bytes: string
  /** 64 bits. */
  integer: string
  /** A text that is compared byte by byte. */
  key: string
  /** Behind the closing bracket. */
  end: string
}

export const SQLITE_DIALECT: Dialect = {
  serial: 'INTEGER PRIMARY KEY AUTOINCREMENT',
  bytes: 'BLOB',
  integer: 'INTEGER',
  key: 'TEXT',
  end: ' STRICT',
}

export const POSTGRES_DIALECT: Dialect = {
  serial: 'BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
  bytes: 'BYTEA',
  integer: 'BIGINT',
  key: 'TEXT COLLATE "C"',
  end: '',
}

/** Only where several processes share them: `postgres-sign-ins.ts`. */
export const SIGN_IN_TABLE = `
  CREATE TABLE sign_in (
    hash BYTEA PRIMARY KEY, -- SHA-256.
    kind TEXT NOT NULL, -- 'code' or 'session'.
    expires_at TIMESTAMPTZ NOT NULL -- By this server's clock.
  );
`

export const firstTables = ({ serial, bytes, integer, key, end }: Dialect): string => `
  CREATE TABLE device (
    number ${serial}, -- Never reused: it stands in log entries.
    tenant ${key} NOT NULL,
    id ${key} NOT NULL,
    type TEXT NOT NULL,
    location TEXT,
    tags TEXT NOT NULL, -- A JSON object of texts.
    parent TEXT,
    is_gateway ${integer} NOT NULL,
    created_at_us ${integer} NOT NULL,
    token_hash ${bytes} NOT NULL, -- SHA-256.
    UNIQUE (tenant, id)
  )${end};
  CREATE UNIQUE INDEX device_by_token ON device (token_hash);
  CREATE TABLE admin_key (
    hash ${bytes} PRIMARY KEY, -- SHA-256.
    tenant TEXT NOT NULL,
    created_at_us ${integer} NOT NULL
  )${end};
`

/**
 * What people edit while the pipeline runs: rules, recipients, silences. A removal stays as a row,
 * so that revisions go on over it.
 */
export const definitionTable = ({ integer, key, end }: Dialect): string => `
  CREATE TABLE definition (
    kind ${key} NOT NULL, -- 'rule', 'recipient' or 'silence'.
    tenant ${key} NOT NULL,
    id ${key} NOT NULL,
    revision ${integer} NOT NULL, -- From 1 on.
    is_removed ${integer} NOT NULL,
    published ${integer} NOT NULL, -- The newest revision that is in the log; 0 for none.
    updated_at_us ${integer} NOT NULL,
    value TEXT NOT NULL, -- JSON. Secrets of channels are in it.
    PRIMARY KEY (kind, tenant, id)
  )${end};
`

export const ALERT_TABLES = [
  ...(['alert_state', 'alert_episode', 'alert_history'] as const),
  ...(['notification', 'message', 'recipient_pace'] as const),
]

/**
 * Alerts, what happened to them, and who is to be told. (A table `alert` of older versions may lie
 * beside them, of the same PostgreSQL.)
 */
export const alertTables = (dialect: Dialect): string =>
  `${stateTables(dialect)}${messageTables(dialect)}`

const stateTables = ({ integer, key, end }: Dialect): string => `
  CREATE TABLE alert_state (
    tenant ${key} NOT NULL,
    id ${key} NOT NULL, -- Of its first episode.
    revision ${integer} NOT NULL,
    rule_id ${key} NOT NULL,
    device_id ${key} NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL, -- 'firing' or 'resolved'.
    triggered_at_us ${integer} NOT NULL,
    last_us ${integer} NOT NULL, -- When it last was firing.
    is_acted ${integer} NOT NULL, -- A person changed it, and the runner has not seen it.
    value TEXT NOT NULL, -- JSON.
    PRIMARY KEY (tenant, id)
  )${end};
  CREATE INDEX alert_state_by_time ON alert_state (tenant, triggered_at_us, id);
  CREATE INDEX alert_state_by_device ON alert_state (tenant, device_id, triggered_at_us);
  CREATE INDEX alert_state_by_rule ON alert_state (tenant, rule_id, triggered_at_us);
  CREATE INDEX alert_state_by_last ON alert_state (last_us);
  CREATE INDEX alert_state_firing ON alert_state (tenant, triggered_at_us, id) WHERE state = 'firing';
  CREATE INDEX alert_state_acted ON alert_state (tenant, id) WHERE is_acted = 1;
  CREATE TABLE alert_episode (
    tenant ${key} NOT NULL,
    id ${key} NOT NULL,
    revision ${integer} NOT NULL,
    alert_id ${key} NOT NULL,
    state TEXT NOT NULL, -- 'firing' or 'resolved'.
    at_us ${integer} NOT NULL,
    PRIMARY KEY (tenant, id)
  )${end};
  CREATE INDEX alert_episode_by_alert ON alert_episode (tenant, alert_id);
  CREATE TABLE alert_history (
    tenant ${key} NOT NULL,
    alert_id ${key} NOT NULL,
    number ${integer} NOT NULL, -- From 1 on.
    at_us ${integer} NOT NULL,
    value TEXT NOT NULL, -- JSON.
    PRIMARY KEY (tenant, alert_id, number)
  )${end};
`

const messageTables = ({ integer, key, end }: Dialect): string => `
  CREATE TABLE notification (
    tenant ${key} NOT NULL,
    id ${key} NOT NULL,
    revision ${integer} NOT NULL,
    recipient_id ${key} NOT NULL,
    alert_id ${key} NOT NULL,
    state TEXT NOT NULL, -- 'waiting', 'sent' in messages, or 'suppressed'.
    group_id ${key}, -- Of the messages that it is in.
    due_at_us ${integer} NOT NULL,
    created_at_us ${integer} NOT NULL,
    value TEXT NOT NULL, -- JSON.
    PRIMARY KEY (tenant, id)
  )${end};
  CREATE INDEX notification_by_alert ON notification (tenant, alert_id);
  CREATE INDEX notification_by_time ON notification (created_at_us);
  CREATE INDEX notification_waiting ON notification (tenant, id) WHERE state = 'waiting';
  CREATE TABLE message (
    tenant ${key} NOT NULL,
    id ${key} NOT NULL, -- Also the idempotency key.
    revision ${integer} NOT NULL,
    group_id ${key} NOT NULL,
    recipient_id ${key} NOT NULL,
    channel TEXT NOT NULL,
    state TEXT NOT NULL, -- 'waiting', 'delivered' or 'dead'.
    created_at_us ${integer} NOT NULL,
    next_try_at_us ${integer} NOT NULL,
    is_acted ${integer} NOT NULL, -- As of alerts.
    value TEXT NOT NULL, -- JSON, of which the body is made.
    PRIMARY KEY (tenant, id)
  )${end};
  CREATE INDEX message_by_group ON message (tenant, group_id);
  CREATE INDEX message_by_time ON message (created_at_us);
  CREATE INDEX message_waiting ON message (tenant, id) WHERE state = 'waiting';
  CREATE INDEX message_acted ON message (tenant, id) WHERE is_acted = 1;
  CREATE TABLE recipient_pace (
    tenant ${key} NOT NULL,
    recipient_id ${key} NOT NULL,
    revision ${integer} NOT NULL,
    value TEXT NOT NULL, -- JSON.
    PRIMARY KEY (tenant, recipient_id)
  )${end};
`
