/** Who is told next when nobody has acknowledged an alert in time. */

export interface EscalationStep {
  recipientIds: readonly string[]
  /** After the step before it, or after the alert fired. */
  afterUs: number
}

export interface EscalationState {
  triggeredAtUs: number
  /** Acknowledged, resolved or silenced: nobody else is told. */
  isHandled: boolean
  /** Steps that were told so far. */
  stepsTold: number
  /** When the last of them was. */
  lastToldAtUs?: number
}

export type Escalation =
  | { do: 'tell'; step: number; recipientIds: readonly string[] }
  | { do: 'wait'; untilUs: number }
  | { do: 'nothing' }

/**
 * One step at a time, each its time after the one before was really told: after an outage of our
 * own the chain goes on, it does not wake everybody at once.
 */
export function escalate(
  chain: readonly EscalationStep[],
  state: EscalationState,
  nowUs: number,
): Escalation {
  const step = chain[state.stepsTold]
  if (state.isHandled || step === undefined) return { do: 'nothing' }
  const untilUs = (state.lastToldAtUs ?? state.triggeredAtUs) + step.afterUs
  if (nowUs < untilUs) return { do: 'wait', untilUs }
  return { do: 'tell', step: state.stepsTold, recipientIds: step.recipientIds }
}
