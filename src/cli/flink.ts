/** `weir flink`: the stream stage as a job of Flink. */
import { Option, type Command } from 'commander'
import type { Config } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import type { Beginning, FlinkJobs, JobSpec } from '../flink/flink.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { loadPlan, loadSettings } from './settings.ts'

const EXAMPLES = `
The role stream keeps a job running: stop it before you end one. Settings: docs/config.md.

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

/** What all of them need; loaded here, so that other commands do not pay for it. */
async function open(flags: Flags): Promise<{ config: Config; jobs: FlinkJobs }> {
  const config = await loadSettings(flags)
  const { flinkAccess } = await import('../cluster/flink-spec.ts')
  const { FlinkJobs } = await import('../flink/flink.ts')
  return { config, jobs: new FlinkJobs(flinkAccess(config)) }
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
  const { config, jobs } = await open(flags)
  const spec = await specOf(config, jobs, await loadPlan(flags.pipeline))
  printSubmitted(
    flags.resume === true ? await jobs.resume(spec) : await jobs.submit(spec, beginningOf(flags)),
  )
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
  const status = await jobs.status(name, topicName(config.kafka.topicPrefix, 'telemetry'))
  const { telemetryEnds } = await import('../cluster/flink-spec.ts')
  const ends = await telemetryEnds(config).catch(() => new Map<number, number>())
  const { describeStatus } = await import('./flink-status.ts')
  console.log(describeStatus(status, ends, Date.now()))
}

async function upgrade(flags: Flags & { replay?: boolean; check?: boolean }): Promise<void> {
  const { config, jobs } = await open(flags)
  const plan = await loadPlan(flags.pipeline)
  const spec = await specOf(config, jobs, plan)
  const { job, stateDifferences, differences } = await jobs.compare(spec)
  const keeps = stateDifferences.length === 0
  console.log(`Job ${job.id}: its state can${keeps ? '' : 'not'} be kept.`)
  for (const one of [...stateDifferences, ...differences]) console.log(`  ${one}`)
  if (flags.check === true) return
  const replay = keeps || flags.replay !== true ? undefined : replayOf(plan)
  const { savepoint, ...submitted } = await jobs.upgrade(spec, replay)
  console.log(`Savepoint ${savepoint}`)
  printSubmitted(submitted)
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
  const { config, jobs } = await open(flags)
  const { name } = config.flink
  if (flags.savepoint === true) {
    const { flinkFolders } = await import('../cluster/flink-spec.ts')
    const { id, savepoint } = await jobs.stop(name, flinkFolders(config).savepoints)
    console.log(`Job ${id} has ended. Savepoint ${savepoint}`)
  } else {
    const { id } = await jobs.cancel(name)
    console.log(`Job ${id} is cancelled.`)
  }
  console.log('`weir flink submit --resume` goes on from there.')
}
