package weir.flink.operators;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A case of {@code windows.json}: one watermark, and the series of its readings, each of which is
 * read from its bytes before it is asked anything and written again after it.
 */
final class WindowsRun {
  private static final Comparator<Row> IN_ORDER =
      Comparator.<Row>comparingLong(row -> row.partial.windowMs())
          .thenComparingLong(row -> row.partial.startMs())
          .thenComparingInt(row -> row.series)
          .thenComparing(row -> row.partial.isLate());

  private final Watermark watermark;
  private final SeriesState state;
  private final Map<Integer, ByteBuffer> keys = new TreeMap<>();
  private long clockUs = Long.MIN_VALUE;

  private record Row(int series, Partial partial) {}

  WindowsRun(JsonNode one) {
    JsonNode time = one.get("time");
    long disorderUs = time.get("disorderUs").asLong();
    watermark = new Watermark(disorderUs, time.get("idleTimeoutUs").asLong());
    long[] sizesUs = new long[one.get("windowsMs").size()];
    for (int k = 0; k < sizesUs.length; k++) sizesUs[k] = one.get("windowsMs").get(k).asLong() * 1000;
    // As src/stream/windows.ts proves that it is enough.
    int openMax = (int) Math.ceil((double) Math.max(disorderUs, 1000) / sizesUs[0]) + 1;
    state = new SeriesState(sizesUs, time.get("allowedLatenessUs").asLong(), openMax, 1000);
  }

  void step(JsonNode step, String what) {
    List<Row> rows = new ArrayList<>();
    long ingestUs = step.get("ingestUs").asLong();
    long passedUs = clockUs == Long.MIN_VALUE ? 0 : Math.max(0, ingestUs - clockUs);
    clockUs = Math.max(clockUs, ingestUs);
    if (watermark.tick(ingestUs, passedUs)) advanceAll(rows);
    int tooLate = 0;
    if (!step.get("eventUs").isNull()) {
      long eventUs = step.get("eventUs").asLong();
      if (watermark.observe(eventUs, ingestUs)) advanceAll(rows);
      for (JsonNode reading : step.get("readings")) {
        int series = reading.get(0).asInt();
        SeriesState.Outcome outcome = observe(series, eventUs, reading.get(1).asDouble(), rows);
        assertNotEquals(SeriesState.Outcome.DUPLICATE, outcome, what);
        assertNotEquals(SeriesState.Outcome.UNVERIFIED, outcome, what);
        if (outcome == SeriesState.Outcome.TOO_LATE) tooLate++;
      }
    }
    assertEquals(step.get("tooLate").asInt(), tooLate, what);
    long us = step.get("watermarkUs").isNull() ? Watermark.NONE : step.get("watermarkUs").asLong();
    assertEquals(us, watermark.watermarkUs(), what);
    rows.sort(IN_ORDER);
    assertEquals(step.get("partials").size(), rows.size(), what + ": partials");
    for (int i = 0; i < rows.size(); i++) assertRow(step.get("partials").get(i), rows.get(i), what);
  }

  /** As a timer of each key would. */
  private void advanceAll(List<Row> rows) {
    for (int series : keys.keySet()) {
      read(series);
      if (watermark.watermarkUs() < state.closesAtUs()) continue;
      state.advance(watermark.watermarkUs(), partial -> rows.add(new Row(series, partial)));
      write(series);
    }
  }

  private SeriesState.Outcome observe(int series, long eventUs, double value, List<Row> rows) {
    read(series);
    state.advance(watermark.watermarkUs(), partial -> rows.add(new Row(series, partial)));
    SeriesState.Outcome outcome =
        state.observe(eventUs, value, partial -> rows.add(new Row(series, partial)));
    write(series);
    return outcome;
  }

  private void read(int series) {
    state.clear();
    ByteBuffer bytes = keys.get(series);
    if (bytes != null) state.read(bytes.duplicate());
  }

  private void write(int series) {
    keys.put(series, ConformanceTest.written(state.bytes(), state::write));
  }

  /** Count, min, max, first, last and times exactly; the others to 1e-9 of what they are made of. */
  private static void assertRow(JsonNode expected, Row row, String what) {
    Partial partial = row.partial;
    long[] key = {row.series, partial.windowMs(), partial.startMs(), partial.isLate() ? 1 : 0};
    for (int i = 0; i < key.length; i++) assertEquals(expected.get(i).asLong(), key[i], what);
    assertEquals(expected.get(4).asLong(), partial.count(), what + ": count");
    double min = expected.get(6).asDouble();
    double max = expected.get(7).asDouble();
    assertEquals(min, partial.min(), what + ": min");
    assertEquals(max, partial.max(), what + ": max");
    double scale = Math.max(-min, max);
    Vectors.assertClose(expected.get(5).asDouble(), partial.sum(), scale, what + ": sum");
    Vectors.assertClose(expected.get(8).asDouble(), partial.mean(), scale, what + ": mean");
    double squaresScale = 1e-6 * (max - min) * (max - min);
    Vectors.assertClose(
        expected.get(9).asDouble(), partial.squares(), squaresScale, what + ": squares");
    assertEquals(expected.get(10).asDouble(), partial.first(), what + ": first");
    assertEquals(expected.get(11).asLong(), partial.firstTimeUs(), what + ": first time");
    assertEquals(expected.get(12).asDouble(), partial.last(), what + ": last");
    assertEquals(expected.get(13).asLong(), partial.lastTimeUs(), what + ": last time");
  }
}
