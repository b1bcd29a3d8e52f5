package weir.flink.entries;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** A map of texts as an entry has it. */
public final class Dimensions {
  public record Pair(String name, String value) {}

  private Dimensions() {}

  /** In the order in which they are written. */
  public static List<Pair> read(byte[] written) {
    try {
      AvroReader reader = new AvroReader();
      reader.reset(written, 0, written.length);
      List<Pair> pairs = new ArrayList<>();
      for (long left = reader.blockCount(); left > 0; left = reader.blockCount())
        for (; left > 0; left--) pairs.add(new Pair(reader.string(), reader.string()));
      return pairs;
    } catch (MalformedEntry error) {
      throw new IllegalArgumentException(error);
    }
  }

  /** As one block, sorted by name, by which the same ones are known. */
  public static byte[] canonical(byte[] written) {
    List<Pair> pairs = read(written);
    pairs.sort(Comparator.comparing(Pair::name));
    AvroWriter writer = new AvroWriter();
    if (!pairs.isEmpty()) writer.number(pairs.size());
    for (Pair pair : pairs) {
      writer.text(pair.name.getBytes(StandardCharsets.UTF_8));
      writer.text(pair.value.getBytes(StandardCharsets.UTF_8));
    }
    writer.number(0);
    return writer.take();
  }
}
