/** The settings of the sink; `stages.ts` has the others. */
import Type from 'typebox'
import { boolean, optionalText, secret, text } from './settings.ts'

export const SINK = Type.Object(
  {
    kind: text('off', 'off, influxdb1, influxdb2, influxdb3, questdb or victoriametrics.'),
    url: optionalText('Where it is, as http://host:8086; no user in it.'),
    database: optionalText(
      'Database of InfluxDB 1 and 3, bucket of InfluxDB 2; it must exist. The others have none.',
    ),
    organization: optionalText('Organization of InfluxDB 2.'),
    token: secret('Token of InfluxDB 2 and 3; of the others instead of user and password.'),
    username: optionalText('User of InfluxDB 1, QuestDB or what stands before VictoriaMetrics.'),
    password: secret('Its password.'),
    gzip: boolean(false, 'Requests are compressed: for a network that is slow.'),
  },
  {
    additionalProperties: false,
    description: 'A copy of a cluster’s readings in another time series database.',
  },
)
