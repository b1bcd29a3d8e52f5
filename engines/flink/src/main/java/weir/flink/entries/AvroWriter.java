package weir.flink.entries;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Avro's binary encoding into one growing buffer. The twin of {@code src/entries/avro-writer.ts}. */
public final class AvroWriter {
  /** A varint of 64 bits. */
  private static final int LONG_BYTES_MAX = 10;

  private byte[] bytes = new byte[256];
  private int length;

  public void reset() {
    length = 0;
  }

  /** Zigzag, then seven bits a byte. */
  public void number(long value) {
    reserve(LONG_BYTES_MAX);
    long rest = value << 1 ^ value >> 63;
    for (; (rest & ~0x7fL) != 0; rest >>>= 7) bytes[length++] = (byte) (rest | 0x80);
    bytes[length++] = (byte) rest;
  }

  public void real(double value) {
    reserve(Double.BYTES);
    long bits = Double.doubleToRawLongBits(value);
    for (int i = 0; i < Double.BYTES; i++) bytes[length++] = (byte) (bits >>> 8 * i);
  }

  public void bool(boolean value) {
    reserve(1);
    bytes[length++] = (byte) (value ? 1 : 0);
  }

  public void string(String value) {
    text(value.getBytes(StandardCharsets.UTF_8));
  }

  /** A text by its bytes. */
  public void text(byte[] utf8) {
    number(utf8.length);
    raw(utf8, 0, utf8.length);
  }

  /** As they are. */
  public void raw(byte[] from, int start, int count) {
    reserve(count);
    System.arraycopy(from, start, bytes, length, count);
    length += count;
  }

  /** A copy of what was written. */
  public byte[] take() {
    return Arrays.copyOf(bytes, length);
  }

  private void reserve(int count) {
    if (length + count > bytes.length)
      bytes = Arrays.copyOf(bytes, Math.max(bytes.length * 2, length + count));
  }
}
