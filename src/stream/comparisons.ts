/** A threshold's comparison as a number, for the rules that are decided where a reading is met. */
import type { Threshold } from '../pipeline/pipeline.ts'

const COMPARISONS = ['none', 'less', 'less-or-equal', 'greater', 'greater-or-equal']

export const NO_COMPARISON = 0

export const comparisonCode = (name: Threshold['comparison']): number => COMPARISONS.indexOf(name)

export function compare(comparison: number, value: number, threshold: number): boolean {
  if (comparison === 1) return value < threshold
  if (comparison === 2) return value <= threshold
  if (comparison === 3) return value > threshold
  return value >= threshold
}
