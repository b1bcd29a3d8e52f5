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
