/** `weir flink`: the stream stage as a job of Flink. */
import { Option, type Command } from 'commander'
import type { Config } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import type { Beginning, FlinkJobs, JobSpec } from '../flink/flink.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { loadPlan, loadSettings } from './settings.ts'

const EXAMPLES = `
The role stream starts a job that is gone again, as it ran last, unless it was ended by \`cancel\`.
Settings: docs/config.md.

Examples:
  weir flink sql --pipeline weir.pipeline.yaml > job.sql
  weir flink submit --pipeline weir.pipeline.yaml --config cluster.yaml
  weir flink submit --pipeline weir.pipeline.yaml --config cluster.yaml --resume
  weir flink status --config cluster.yaml
  weir flink upgrade --check --pipeline changed.pipeline.yaml --config cluster.yaml
  weir flink upgrade --pipeline changed.pipeline.yaml --config cluster.yaml
  weir flink cancel --config cluster.yaml`

interface Flags {
  config?: string
  pipeline?: string
}

interface SubmitFlags extends Flags {
  resume?: boolean
  fresh?: boolean
  from?: string
}

export function addFlink(program: Command): void {
  const flink = program
    .command('flink')
    .description('the stream stage of a cluster as a job of Flink')
    .addHelpText('after', EXAMPLES)
  const add = (name: string, description: string, needsPipeline: boolean): Command => {
    const command = flink.command(name).description(description).addHelpText('after', EXAMPLES)
    if (needsPipeline)
      command.option('--pipeline <file>', 'pipeline definition in YAML: types, windows, rules')
    return command.option('--config <file>', 'configuration of the cluster, in YAML')
  }
  add('sql', 'print the statements that make the job', true).action(printStatements)
  add('submit', 'start the job', true)
    .option('--resume', 'from the newest checkpoint or savepoint of the last job')
    .option('--fresh', 'from the oldest entries in Kafka, whatever state there is')
    .addOption(
      new Option('--from <address>', 'from this checkpoint or savepoint').conflicts([
        ...['resume', 'fresh'],
      ]),
    )
    .action(submit)
  add('status', 'how the job does', false).action(printStatus)
  add('upgrade', 'put another pipeline, jar or setting in its place, with its state', true)
    .option('--replay', 'where the state cannot be kept: from Kafka, over all that is still open')
    .option('--check', 'say what would become of it, and change nothing')
    .action(upgrade)
  add('cancel', 'end the job; its last checkpoint stays', false)
    .option('--savepoint', 'with a savepoint, which other versions of Flink can read, too')
    .action(cancel)
}

interface Opened {
  config: Config
  jobs: FlinkJobs
}

/** What all of them need; loaded here, so that other commands do not pay for it. */
async function open(flags: Flags): Promise<Opened> {
  const config = await loadSettings(flags)
  const { flinkAccess } = await import('../cluster/flink-spec.ts')
  const { FlinkJobs } = await import('../flink/flink.ts')
  return { config, jobs: new FlinkJobs(flinkAccess(config)) }
}

/** The same for those that start or end a job: they are alone at it. */
async function change(flags: Flags, work: (opened: Opened) => Promise<void>): Promise<void> {
  const config = await loadSettings(flags)
  const { changeJob } = await import('../cluster/job-lease.ts')
  await changeJob(config, (jobs) => work({ config, jobs }))
}

async function specOf(config: Config, jobs: FlinkJobs, plan: Plan): Promise<JobSpec> {
  const { flinkSpec, readyTopics } = await import('../cluster/flink-spec.ts')
  return flinkSpec(config, plan, await readyTopics(config, jobs))
}

/** Asks nobody: what is not known stands in capitals. */
async function printStatements(flags: Flags): Promise<void> {
  const config = await loadSettings(flags)
  const plan = await loadPlan(flags.pipeline)
  const { flinkSpec } = await import('../cluster/flink-spec.ts')
  const { jobSql, printSql } = await import('../flink/flink.ts')
  const { brokers, saslPassword, partitions } = config.kafka
  const shown: Config = {
    ...config,
    kafka: {
      ...config.kafka,
      brokers: brokers.length === 0 ? ['HOST:9092'] : brokers,
      saslPassword: saslPassword === '' ? '' : 'PASSWORD',
      tlsKeyFile: '',
    },
    flink: { ...config.flink, checkpoints: config.flink.checkpoints || 'file:///CHECKPOINTS' },
  }
  const spec = flinkSpec(shown, plan, { number: 1, partitions })
  process.stdout.write(printSql(jobSql(spec, { from: 'earliest' })))
}

async function submit(flags: SubmitFlags): Promise<void> {
  if (flags.resume === true && flags.fresh === true)
    throw new WeirError('CLI_USAGE_INVALID', '--resume or --fresh, not both')
  const plan = await loadPlan(flags.pipeline)
  await change(flags, async ({ config, jobs }) => {
    const spec = await specOf(config, jobs, plan)
    printSubmitted(
      flags.resume === true ? await jobs.resume(spec) : await jobs.submit(spec, beginningOf(flags)),
    )
  })
}

/** Undefined: at the oldest entries, unless there is state of an earlier job. */
function beginningOf({ from, fresh }: SubmitFlags): Beginning | undefined {
  if (from !== undefined) return { from: 'state', path: from }
  return fresh === true ? { from: 'earliest' } : undefined
}

function printSubmitted(submitted: Awaited<ReturnType<FlinkJobs['submit']>>): void {
  const { id, dashboard, beginning, unrecorded } = submitted
  const { from } = beginning
  const where = {
    earliest: 'the oldest entries in Kafka',
    time: from === 'time' ? `entries since ${new Date(beginning.timeMs).toISOString()}` : '',
    state: from === 'state' ? beginning.path : '',
  }
  console.log(`Job ${id} runs, from ${where[from]}.\n${dashboard}`)
  if (unrecorded !== undefined) console.error(`--resume will not find it: ${unrecorded}`)
}

async function printStatus(flags: Flags): Promise<void> {
  const { config, jobs } = await open(flags)
  const { topicName } = await import('../entries/entries.ts')
  const { name } = config.flink
  const generation = await jobs.generation(name)
  const telemetry = topicName(config.kafka.topicPrefix, 'telemetry', generation)
  const status = await jobs.status(name, telemetry)
  const { endsOfTopic } = await import('../cluster/flink-spec.ts')
  const ends = await endsOfTopic(config, telemetry).catch(() => new Map<number, number>())
  const { describeStatus } = await import('./flink-status.ts')
  console.log(describeStatus(status, ends, Date.now()))
}

async function upgrade(flags: Flags & { replay?: boolean; check?: boolean }): Promise<void> {
  const plan = await loadPlan(flags.pipeline)
  if (flags.check === true) return void (await compare(await open(flags), plan))
  await change(flags, async (opened) => {
    const { spec, keeps } = await compare(opened, plan)
    const replay = keeps || flags.replay !== true ? undefined : replayOf(plan)
    const { savepoint, ...submitted } = await opened.jobs.upgrade(spec, replay)
    console.log(`Savepoint ${savepoint}`)
    printSubmitted(submitted)
  })
}

async function compare(
  { config, jobs }: Opened,
  plan: Plan,
): Promise<{ spec: JobSpec; keeps: boolean }> {
  const spec = await specOf(config, jobs, plan)
  const { job, stateDifferences, differences } = await jobs.compare(spec)
  const keeps = stateDifferences.length === 0
  console.log(`Job ${job.id}: its state can${keeps ? '' : 'not'} be kept.`)
  for (const one of [...stateDifferences, ...differences]) console.log(`  ${one}`)
  return { spec, keeps }
}

/**
 * Since then began what is open now or may still get late readings, and before it one window of the
 * largest size, so that all of them are seen from their beginning. A device's clock may be ahead.
 */
function replayOf({ windowsMs, time }: Plan): Beginning & { from: 'time' } {
  const { allowedLatenessUs, disorderUs, idleTimeoutUs, futureUs } = time
  const largestMs = windowsMs.at(-1)!
  const futureMs = futureUs / 1000
  const openMs = (allowedLatenessUs + disorderUs + idleTimeoutUs) / 1000 + futureMs
  const timeMs = Math.floor(Date.now() - openMs - 2 * largestMs)
  const windowsFromMs = Math.ceil((timeMs + futureMs) / largestMs) * largestMs
  return { from: 'time', timeMs, windowsFromMs }
}

async function cancel(flags: Flags & { savepoint?: boolean }): Promise<void> {
  await change(flags, async ({ config, jobs }) => {
    const { flinkFolders } = await import('../cluster/flink-spec.ts')
    const savepoints = flags.savepoint === true ? flinkFolders(config).savepoints : undefined
    const { id, savepoint, unrecorded } = await jobs.cancel(config.flink.name, savepoints)
    console.log(`Job ${id} has ended.${savepoint === undefined ? '' : ` Savepoint ${savepoint}`}`)
    if (unrecorded !== undefined)
      console.error(`The role stream will start it again: ${unrecorded}`)
    console.log('`weir flink submit --resume` goes on from there.')
  })
}
