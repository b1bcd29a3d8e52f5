/** Thrown by who consumes rows, to end a read that would hold too many. */
import { WeirError } from '../errors/errors.ts'

/** A WeirError, which stores hand on as it is; it is caught by who throws it. */
export class TooMany extends WeirError {
  constructor() {
    super('QUERY_LIMIT_EXCEEDED')
  }
}
