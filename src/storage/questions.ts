/** The questions that the embedded store answers, over one look at it each. */
import {
  answerGroups,
  answerReadings,
  answerWindows,
  scanDevices,
  seriesAsked,
  questionKey,
  type GroupsAnswer,
  type GroupsQuestion,
  type GroupsSource,
  type LatestQuestion,
  type Query,
  type ReadingsAnswer,
  type ReadingScan,
  type ReadingSource,
  type ReadingsQuestion,
  type ReadingView,
  type ScanQuestion,
  type ScanSource,
  type ScanStep,
  type WindowsAnswer,
  type WindowsQuestion,
} from '../query/query.ts'
import type { SeriesDefinition } from '../batch/batch.ts'
import type { Clock } from '../world/world.ts'
import type { AnswerCache, AnyAnswer, Asked as CachedQuestion } from './answer-cache.ts'
import type { Generation } from './generation.ts'
import type { LastValues } from './last-values.ts'
import { latestByMetric, latestOfMetric } from './latest.ts'
import type { SegmentChecks } from './segment-checks.ts'
import { ANYWHERE, isOfFleets, mayHold, overlaps, type SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import type { StorageOptions } from './storage-options.ts'

/** Devices that a scan reads at once; their list is looked through for each segment. */
const SCAN_DEVICES_MAX = 1024

export interface QuestionsParts {
  options: Pick<StorageOptions, 'limits' | 'aging'>
  answers: AnswerCache
  clock: Clock
  directory: SeriesDirectory
  segments: SegmentSet
  checks: SegmentChecks
  lastValues: LastValues
  view: (rowsMax: number, signal?: AbortSignal) => ReadingView
  generations: () => readonly Generation[]
}

type Asked = 'readings' | 'windows' | 'groups' | 'latest' | 'latestOfMetric'

export class Questions implements Pick<Query, Asked>, ReadingScan {
  readonly #parts: QuestionsParts

  constructor(parts: QuestionsParts) {
    this.#parts = parts
  }

  #source(signal: AbortSignal): ReadingSource {
    const { directory, options, view } = this.#parts
    return {
      series: (tenant, deviceId, metric) =>
        directory.ofDevice(tenant, deviceId).filter((one) => one.metric === metric),
      text: (id) => directory.text(id),
      view: () => view(options.limits.rowsMax, signal),
    }
  }

  readings(question: ReadingsQuestion, signal?: AbortSignal): Promise<ReadingsAnswer> {
    const key = questionKey('readings', question)
    const compute = async (ending: AbortSignal): Promise<ReadingsAnswer> => {
      if (question.aggregate !== undefined) await this.#checkRollups(question)
      return answerReadings(this.#source(ending), question)
    }
    return this.#ask({ ...question, key, series: this.#seriesOf(question), compute }, signal)
  }

  windows(question: WindowsQuestion, signal?: AbortSignal): Promise<WindowsAnswer> {
    const key = questionKey('windows', question)
    const compute = async (ending: AbortSignal): Promise<WindowsAnswer> => {
      await this.#checkRollups(question)
      return answerWindows(this.#source(ending), question, this.#parts.options.limits)
    }
    // The last window that starts in the span ends behind it.
    const endUs = question.endUs + question.windowMs * 1000
    return this.#ask({ ...question, key, endUs, series: this.#seriesOf(question), compute }, signal)
  }

  groups(question: GroupsQuestion, signal?: AbortSignal): Promise<GroupsAnswer> {
    const key = questionKey('groups', question)
    const series = this.#parts.directory.devices(seriesAsked(question)).flat()
    const compute = (ending: AbortSignal) => this.#groups(question, ending)
    return this.#ask({ ...question, key, deviceId: undefined, series, compute }, signal)
  }

  #ask<A extends AnyAnswer>(
    asked: Omit<CachedQuestion<A>, 'untilUs'>,
    signal: AbortSignal | undefined,
  ): Promise<A> {
    return this.#parts.answers.ask({ ...asked, untilUs: this.#hiddenFromUs(asked) }, signal)
  }

  /** When the oldest reading that there may be in the span is too old to be shown; µs. */
  #hiddenFromUs({ startUs, series }: { startUs: number; series: readonly SeriesDefinition[] }) {
    const { options, segments, generations } = this.#parts
    if (options.aging === undefined) return Infinity
    const { agesOf } = options.aging
    const ages = Map.groupBy(series, ({ deviceType }) => deviceType)
    const leastUs = Math.min(...[...ages.values()].map(([one]) => agesOf(one!).coldUs))
    const stored = [...segments.list('readings'), ...generations().map((one) => one.readings)]
    const oldestUs = stored.reduce((least, one) => Math.min(least, one.minTimeUs), Infinity)
    return Math.max(startUs, oldestUs) + leastUs
  }

  #seriesOf({ tenant, deviceId, metric }: ReadingsQuestion | WindowsQuestion): SeriesDefinition[] {
    const { directory } = this.#parts
    return directory.ofDevice(tenant, deviceId).filter((one) => one.metric === metric)
  }

  async #groups(question: GroupsQuestion, signal: AbortSignal): Promise<GroupsAnswer> {
    const { directory, segments, checks, options, view: open } = this.#parts
    const span = { ...ANYWHERE, startUs: question.startUs, endUs: question.endUs }
    await checks.ensure(segments.rollups().filter((one) => overlaps(one, span)))
    const series = directory.devices(seriesAsked(question)).flat()
    const source: GroupsSource = {
      looks: (_, run) => {
        const view = open(options.limits.rowsMax, signal)
        return run(series, view).finally(() => view.release())
      },
    }
    return answerGroups(source, question)
  }

  /** Before a question is planned, since the plan says which windows rollups answer. */
  async #checkRollups(question: Omit<WindowsQuestion, 'windowMs'>): Promise<void> {
    const { directory, segments, checks } = this.#parts
    const { tenant, deviceId, metric, startUs, endUs } = question
    const wanted = directory
      .ofDevice(tenant, deviceId)
      .filter((one) => one.metric === metric)
      .map(({ series }) => ({ series, spans: [{ startUs, endUs }] }))
    const rollups = segments.rollups().filter((one) => !isOfFleets(one) && mayHold(one, wanted))
    await checks.ensure(rollups)
  }

  scan({ startUs, endUs, ...filter }: ScanQuestion): AsyncGenerator<ScanStep, void> {
    const { directory, clock, view: open } = this.#parts
    const devices = directory.devices(filter)
    const source: ScanSource = {
      ...{ devices, devicesTotal: devices.length, devicesMax: SCAN_DEVICES_MAX },
      look: async (_, run) => {
        // A step bounds itself.
        const view = open(Infinity)
        const text = (id: number): string => directory.text(id)
        return run({ view, text }).finally(() => view.release())
      },
      pause: () => new Promise((resolve) => clock.soon(resolve)),
    }
    return scanDevices(source, { startUs, endUs })
  }

  async latest(tenant: string, deviceId: string): ReturnType<Query['latest']> {
    return latestByMetric(this.#parts, { tenant, deviceId })
  }

  async latestOfMetric(question: LatestQuestion): ReturnType<Query['latestOfMetric']> {
    return latestOfMetric(this.#parts, question)
  }
}
