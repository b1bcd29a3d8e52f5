/** The pipeline of the simulation; its rules and detectors are those that the oracle knows. */
import { compilePipeline } from '../../src/pipeline/compile.ts'

export const DEVICE_IDS = ['device-0', 'device-1', 'device-2', 'device-3'] as const

export const PLAN = compilePipeline({
  version: 1,
  types: {
    pump: {
      schemas: {
        1: {
          a: { unit: '1', min: -1000, max: 1000, required: false },
          b: { unit: '1' },
          on: { type: 'boolean', required: false },
          label: { type: 'text', required: false, values: ['ok', 'fault'] },
        },
      },
    },
  },
  time: { disorder: '10s', future: '5s', past: '8d', allowedLateness: '1h', idleTimeout: '30s' },
  windows: ['1m', '5m'],
  detectors: [{ id: 'z', type: 'pump', metric: 'a', zscore: { n: 5, threshold: 1.618 } }],
  rules: [
    { id: 'hot', type: 'pump', when: 'a > 80', for: '30s', severity: 'critical' },
    { id: 'burning', type: 'pump', when: 'a > 95', severity: 'critical' },
    { id: 'warm-while-on', type: 'pump', when: 'a > 60 && on', for: '5s', severity: 'warning' },
    { id: 'faulty', type: 'pump', when: 'label == "fault"', severity: 'warning' },
  ],
})
