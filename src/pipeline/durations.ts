import { parseDurationUs, type Path, type Problem } from '../config/config.ts'

/** A duration that has the right form (the definition's schema checked it) as µs. */
export function resolveDurationUs(text: string, path: Path, problems: Problem[]): number {
  const us = parseDurationUs(text)
  if (us === undefined) problems.push({ path, message: `found ${text}, expected below 285 years` })
  return us ?? 0
}
