/**
 * What stands in the chart's place while there is nothing to draw: why, and what to do about it.
 */
import { telemetryCommand } from './commands.ts'
import { button, commandBlock, element } from './dom.ts'
import { formatFull } from './format.ts'

interface Emptiness {
  problem: string | undefined
  deviceId: string | undefined
  /** Time of the metric's last reading, when there is one. */
  lastMs: number | undefined
  /** The range that would show it, when that is a wider one. */
  wider: { label: string; show: () => void } | undefined
  retry: () => void
}

export function chartEmptiness({ problem, deviceId, lastMs, wider, retry }: Emptiness): Node[] {
  if (problem !== undefined) return [paragraph(problem), button('Try again', retry)]
  if (deviceId === undefined) return [paragraph('Choose a device to see what it measures.')]
  if (lastMs === undefined) {
    const text = 'No readings yet. Send the first one with the device’s token:'
    return [paragraph(text), commandBlock(telemetryCommand(deviceId))]
  }
  const text = paragraph(
    `Nothing in this time range. The last reading is of ${formatFull(lastMs)}.`,
  )
  return wider === undefined
    ? [text]
    : [text, button(`Show the ${wider.label.toLowerCase()}`, wider.show)]
}

const paragraph = (text: string): HTMLElement => element('p', {}, text)
