/** `weir pipeline check`: whether a definition is right, and what it amounts to. */
import type { Command } from 'commander'
import { describeVersions } from '../pipeline/compatibility.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { loadPlan } from './settings.ts'

const EXAMPLES = `
Example:
  weir pipeline check weir.pipeline.yaml`

export function addPipeline(program: Command): void {
  const pipeline = program
    .command('pipeline')
    .description('check a pipeline definition')
    .addHelpText('after', EXAMPLES)
  pipeline
    .command('check')
    .description('exit code 0 when it is right')
    .argument('<file>', 'definition in YAML')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string) => console.log(summarise(await loadPlan(file))))
}

/** A line for each kind of thing that a plan holds, and for each step between schema versions. */
function summarise(plan: Plan): string {
  const names = (items: string[]): string => (items.length > 0 ? `: ${items.join(', ')}` : '')
  const types = Object.keys(plan.types).toSorted()
  return [
    `The definition is right (fingerprint ${plan.fingerprint}).`,
    `${types.length} types${names(types)}`,
    `${plan.windowsMs.length} windows${names(plan.windowsMs.map((ms) => `${ms / 1000} s`))}`,
    `${plan.detectors.length} detectors${names(plan.detectors.map(({ id }) => id))}`,
    `${plan.rules.length} rules${names(plan.rules.map(({ id }) => id))}`,
    ...describeVersions(plan),
  ].join('\n')
}
