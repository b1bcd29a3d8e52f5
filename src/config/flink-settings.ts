/** The settings of Flink; `stages.ts` has the others. */
import Type from 'typebox'
import { duration, integer, optionalText, text } from './settings.ts'

export const FLINK = Type.Object(
  {
    gatewayUrl: text(
      'http://127.0.0.1:8083',
      'The SQL Gateway. Who reaches it runs code in Flink.',
    ),
    restUrl: text('http://127.0.0.1:8081', 'The JobManager.'),
    jar: optionalText(
      'weir-flink.jar as the gateway finds it, as file:///opt/weir/weir-flink.jar; empty: it lies in the lib folder of gateway, JobManager and TaskManagers.',
    ),
    name: text('weir-stream', 'Of the job: one of a name runs, and its state belongs to it.'),
    parallelism: integer(2, [1, 10_000], 'Instances of each function; each takes a slot.'),
    maxParallelism: integer(
      128,
      [1, 32_768],
      'What `flink.parallelism` may ever be. With another one, state is not taken up.',
    ),
    checkpointInterval: duration(
      '10s',
      ['100ms', '1h'],
      'Between two checkpoints; what came since the last is processed again after a failure.',
    ),
    checkpoints: optionalText(
      'Folder that gateway, JobManager, TaskManagers and `weir flink` all reach, as file:///… or s3://bucket/…; each job has one in it. An S3 is reached as lake.endpoint, region and keys say.',
    ),
    savepoints: optionalText('Another folder for savepoints; empty: with the checkpoints.'),
    stateBackend: text('hashmap', 'hashmap: state in memory; rocksdb: on local disks.'),
  },
  {
    additionalProperties: false,
    description:
      'Flink, which is the stream stage of a cluster: for the role stream and `weir flink`.',
  },
)
