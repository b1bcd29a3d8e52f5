package weir.flink.operators;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What the vectors cannot say: what Flink does to a function that a single process does not. */
final class SeriesStateTest {
  private static final long SECOND = 1_000_000;
  private static final long[] SIZES_US = {60 * SECOND, 300 * SECOND};

  private final List<Partial> emitted = new ArrayList<>();
  private SeriesState state = create(2, 10);

  private static SeriesState create(int openMax, int latePartialsMax) {
    return new SeriesState(SIZES_US, 3600 * SECOND, openMax, latePartialsMax);
  }

  private SeriesState.Outcome observe(long second, double value) {
    return state.observe(second * SECOND, value, emitted::add);
  }

  private void advance(long second) {
    state.advance(second * SECOND, emitted::add);
  }

  /** As after a failure: a new function, the key's bytes, and no watermark. */
  private void restart() {
    ByteBuffer bytes = ConformanceTest.written(state.bytes(), state::write);
    state = create(2, 10);
    state.read(bytes);
    state.advance(Watermark.NONE, emitted::add);
  }

  @Test
  void whatWasLateBeforeARestartIsLateAfterIt() {
    observe(10, 1);
    advance(60);
    assertEquals(List.of(false), emitted.stream().map(Partial::isLate).toList());
    restart();
    advance(20);
    assertEquals(SeriesState.Outcome.COUNTED, observe(11, 2));
    Partial late = emitted.get(1);
    assertTrue(late.isLate(), "an on-time partial would take the place of the first");
    assertEquals(1, late.count());
  }

  @Test
  void whatWasTooLateBeforeARestartIsTooLateAfterIt() {
    observe(10, 1);
    advance(4000);
    restart();
    assertEquals(SeriesState.Outcome.TOO_LATE, observe(11, 2));
  }

  @Test
  void aLatePartialGoesOnAfterARestart() {
    observe(10, 1);
    advance(60);
    observe(11, 2);
    restart();
    observe(12, 3);
    assertEquals(2, emitted.get(emitted.size() - 1).count(), "an upsert of the whole value");
  }

  @Test
  void oneMoreOpenWindowThanMayBeClosesTheOldestAndLosesNothing() {
    observe(10, 1);
    observe(70, 2);
    assertEquals(0, emitted.size());
    observe(130, 3);
    assertEquals(List.of(0L), emitted.stream().map(Partial::startMs).toList());
    observe(11, 4);
    advance(600);
    long small = emitted.stream().filter(p -> p.windowMs() == 60_000).mapToLong(Partial::count).sum();
    long large = emitted.stream().filter(p -> p.windowMs() == 300_000).mapToLong(Partial::count).sum();
    assertEquals(4, small);
    assertEquals(4, large);
  }

  @Test
  void withoutRoomForALatePartialAReadingIsTooLate() {
    state = create(2, 1);
    observe(10, 1);
    observe(70, 1);
    advance(120);
    assertEquals(SeriesState.Outcome.COUNTED, observe(11, 2));
    assertEquals(SeriesState.Outcome.TOO_LATE, observe(71, 2));
    assertEquals(SeriesState.Outcome.COUNTED, observe(12, 2), "what has room goes on");
  }

  @Test
  void aKeyWithNothingOpenWaitsForNoWatermark() {
    assertEquals(Long.MAX_VALUE, state.closesAtUs());
    observe(10, 1);
    assertEquals(60 * SECOND - 1000, state.closesAtUs());
    advance(60);
    assertEquals(300 * SECOND - 1000, state.closesAtUs());
    advance(300);
    assertEquals(Long.MAX_VALUE, state.closesAtUs());
  }
}
