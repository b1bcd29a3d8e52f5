package weir.flink.state;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** State as bytes, into one growing buffer; {@link ByteBuffer} reads it. */
public final class StateWriter {
  private ByteBuffer buffer = ByteBuffer.allocate(1024);

  public void reset() {
    buffer.clear();
  }

  /** The buffer, with room for so many bytes more. Good until the next call. */
  public ByteBuffer room(int bytes) {
    if (buffer.remaining() < bytes) {
      int needed = buffer.position() + bytes;
      buffer.flip();
      buffer = ByteBuffer.allocate(Math.max(needed, buffer.capacity() * 2)).put(buffer);
    }
    return buffer;
  }

  public void put(byte value) {
    room(Byte.BYTES).put(value);
  }

  public void put(int value) {
    room(Integer.BYTES).putInt(value);
  }

  public void put(long value) {
    room(Long.BYTES).putLong(value);
  }

  public void put(double value) {
    room(Double.BYTES).putDouble(value);
  }

  /** With their length. */
  public void put(byte[] bytes) {
    room(Integer.BYTES + bytes.length).putInt(bytes.length).put(bytes);
  }

  public void put(String text) {
    put(text.getBytes(StandardCharsets.UTF_8));
  }

  /** A copy of what was written. */
  public byte[] take() {
    return Arrays.copyOf(buffer.array(), buffer.position());
  }

  public static byte[] bytesOf(ByteBuffer from) {
    byte[] bytes = new byte[from.getInt()];
    from.get(bytes);
    return bytes;
  }

  public static String textOf(ByteBuffer from) {
    return new String(bytesOf(from), StandardCharsets.UTF_8);
  }
}
