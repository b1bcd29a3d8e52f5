export { readDocument, sourceWithoutText } from './document.ts'
export { formatProblems, suggest, type Path, type Problem, type Source } from './problems.ts'
export { checkShape } from './shape.ts'
export { DURATION_PATTERN, parseDurationUs } from './units.ts'
