/**
 * Buffers of frames, reused once storage has taken what it needs: at full speed a fresh buffer for
 * each frame would be hundreds of MB a second of external memory for the collector to find.
 */
const BUFFERS_PER_SIZE_MAX = 16
const BYTES_MIN = 4096

export class FramePool {
  readonly #free = new Map<number, ArrayBuffer[]>()

  allocate = (bytes: number): ArrayBuffer => {
    const size = sizeClass(bytes)
    return this.#free.get(size)?.pop() ?? new ArrayBuffer(size)
  }

  release(buffer: ArrayBuffer): void {
    const size = buffer.byteLength
    if (size !== sizeClass(size)) return
    const free = this.#free.get(size)
    if (free === undefined) this.#free.set(size, [buffer])
    else if (free.length < BUFFERS_PER_SIZE_MAX) free.push(buffer)
  }
}

/** The next power of two. */
function sizeClass(bytes: number): number {
  return Math.max(BYTES_MIN, 2 ** Math.ceil(Math.log2(bytes)))
}
