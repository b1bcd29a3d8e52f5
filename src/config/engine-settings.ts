/** The settings of the engine over the lake; `stages.ts` has the others. */
import Type from 'typebox'
import { bytes, duration, integer, optionalText, secret, text } from './settings.ts'

export const ENGINE = Type.Object(
  {
    kind: text('off', 'off, trino or athena.'),
    url: optionalText('Trino, as https://trino:8443; no user in it, and no path.'),
    user: text('weir', 'User of Trino.'),
    password: secret('Password of that user; over https only.'),
    token: secret('Bearer token instead of a password; over https only.'),
    table: optionalText(
      'Table of the lake as `weir lake ddl` defines it: hive.iot.readings of Trino, iot.readings of Athena.',
    ),
    location: optionalText(
      'Where the table’s files are, in the engine’s words; empty: s3:// and lake.bucket.',
    ),
    region: text('us-east-1', 'Region of Athena.'),
    endpoint: optionalText('Another service than AWS that speaks as Athena does.'),
    workgroup: text('primary', 'Workgroup of Athena; its limits of bytes hold too.'),
    outputLocation: optionalText(
      'Where Athena writes results, as s3://bucket/results/; empty: what the workgroup says.',
    ),
    accessKey: optionalText(
      'Who asks Athena; empty: from the environment, the user’s files or the machine’s role, as AWS does.',
    ),
    secretKey: secret('Its secret.'),
    readingsMin: integer(
      20_000_000,
      [0, 1_000_000_000],
      'Readings of moved months from which on it is asked; fewer are read by this process.',
    ),
    timeout: duration(
      '20s',
      ['1s', '1h'],
      'Of one statement; then this process reads, in what query.timeout leaves.',
    ),
    rowsMax: integer(500_000, [1000, 100_000_000], 'Rows of its answer to one statement.'),
    bytesMax: bytes('128 MiB', ['1 MiB', '64 GiB'], 'Bytes of them.'),
  },
  {
    additionalProperties: false,
    description:
      'Trino or Athena over the lake, for questions about many devices and months: for the role control.',
  },
)
