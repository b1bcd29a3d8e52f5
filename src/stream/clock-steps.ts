/**
 * The gateway's clock is a wall clock, and somebody may set it. The stream knows it only from the
 * frames, which come every second at least: between two of them less than STEP_MAX passes, and
 * never less than nothing. Anything else is a clock that was set, or a time in which the pipeline
 * did not run. In neither was it watched how long a condition holds or a device is silent, so
 * whatever waits for a duration is moved along: what was pending for 20 s is pending for 20 s after
 * the step.
 */
const STEP_MAX_US = 600_000_000
/** Clocks that are steered go back by less; the times of two gateway threads may cross, too. */
const BACK_MAX_US = 1_000_000

/** How far the clock was set between two frames; 0 when it just went on. */
export function clockStep(beforeUs: number, nowUs: number): number {
  const passedUs = nowUs - beforeUs
  const isSteady = passedUs <= STEP_MAX_US && passedUs >= -BACK_MAX_US
  return beforeUs === -Infinity || isSteady ? 0 : passedUs
}
