/** `weir rules test`: the tests of a pipeline definition, without a server. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { runRuleTest, type TestEvent, type TestResult } from '../backtest/rule-test.ts'
import { formatDurationUs } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import { parseTests } from '../pipeline/compile.ts'
import { printable } from './printable.ts'

const EXAMPLES = `
Exit code 1: a test fails, or there is none.

Example:
  weir rules test weir.pipeline.yaml`

export function addRulesTest(rules: Command): void {
  rules
    .command('test')
    .description('run the tests of a pipeline definition')
    .argument('<file>', 'definition in YAML')
    .addHelpText('after', EXAMPLES)
    .action(test)
}

async function test(file: string): Promise<void> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new WeirError('CLI_USAGE_INVALID', `${file}: ${(cause as Error).message}`, { cause })
  })
  const { plan, tests } = parseTests(text, file)
  let failures = 0
  for (const one of tests) {
    const result = runRuleTest(plan, one)
    if (!result.isPassed) failures++
    const place = one.line === undefined ? file : `${file}:${one.line}`
    console.log(formatTest(one.name, place, result))
  }
  console.log(`${tests.length} tests, ${failures} failed`)
  if (failures > 0 || tests.length === 0) process.exitCode = 1
}

/** A line; of one that fails also what was said when, against what was expected. */
export function formatTest(name: string, place: string, result: TestResult): string {
  if (result.isPassed) return `ok    ${printable(name)}`
  const { found, missing, unexpected } = result
  const lines = [
    ...found.map((event) => ({ event, mark: unexpected.includes(event) ? '+' : ' ' })),
    ...missing.map((event) => ({ event, mark: '-' })),
  ].toSorted((a, b) => a.event.atUs - b.event.atUs)
  return [
    `FAIL  ${printable(name)}  (${place})`,
    '      - expected and not said, + said and not expected',
    ...lines.map(({ event, mark }) => `      ${mark} ${formatEvent(event)}`),
  ].join('\n')
}

const formatEvent = ({ atUs, ruleId, state }: TestEvent): string =>
  `${formatAt(atUs).padStart(8)}  ${ruleId} ${state}`

/** As a definition has it, where it is whole milliseconds. */
const formatAt = (us: number): string => (us % 1000 === 0 ? formatDurationUs(us) : `${us / 1000}ms`)
