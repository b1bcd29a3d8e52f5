package weir.flink.operators;

import java.nio.ByteBuffer;

/**
 * Each accepted reading of one series against mean and sample deviation of the n before it. The twin
 * of {@code src/stream/zscore.ts}, step by step, so that both round alike: values are kept relative
 * to a pivot out of the ring, mean and squares slide by Welford's step for a replaced value, and all
 * is computed afresh every n readings and when the squares fell to 1/64 of their high-water mark.
 */
public final class ZScore {
  private static final double DROP = 1.0 / 64;
  private static final int HEADER_BYTES = 4 * Double.BYTES + 3 * Integer.BYTES;

  private final int n;
  private final double threshold;
  /** The threshold's square, a little less, so that rounding never hides a score. */
  private final double nearly;
  private final double[] ring;
  private double pivot;
  private double mean;
  private double squares;
  private double squaresPeak;
  private int filled;
  private int place;
  private int steps;

  public ZScore(int n, double threshold) {
    this.n = n;
    this.threshold = threshold;
    nearly = threshold * threshold * (1 - 1e-9);
    ring = new double[n];
  }

  /**
   * Compares {@code value} with the n values before it, which it then joins. Returns its score if
   * that reaches the threshold, else NaN: also while there are fewer than n, and when all are equal.
   */
  public double observe(double value) {
    double oldest = ring[place];
    ring[place] = value;
    place = place + 1 == n ? 0 : place + 1;
    if (filled < n) {
      filled++;
      if (filled == n) refresh();
      return Double.NaN;
    }
    double relative = value - pivot;
    double score = score(relative - mean);
    slide(relative, oldest - pivot);
    return score;
  }

  private void slide(double relative, double gone) {
    double change = relative - gone;
    double meanAfter = mean + change / n;
    double squaresAfter = squares + change * (relative - meanAfter + (gone - mean));
    if (steps + 1 >= n || squaresAfter < squaresPeak * DROP) {
      refresh();
      return;
    }
    steps++;
    mean = meanAfter;
    squares = squaresAfter;
    if (squaresAfter > squaresPeak) squaresPeak = squaresAfter;
  }

  /** The root is taken only when the squares, which are cheaper, say that it matters. */
  private double score(double offset) {
    if (squares <= 0 || offset * offset * (n - 1) < nearly * squares) return Double.NaN;
    double score = offset / Math.sqrt(squares / (n - 1));
    return Math.abs(score) >= threshold ? score : Double.NaN;
  }

  /** Two passes over the ring: the reference that sliding is measured against. */
  private void refresh() {
    pivot = ring[0];
    double sum = 0;
    for (double value : ring) sum += value - pivot;
    mean = sum / n;
    squares = 0;
    for (double value : ring) {
      double offset = value - pivot - mean;
      squares += offset * offset;
    }
    squaresPeak = squares;
    steps = 0;
  }

  /** Starts the series anew. */
  public void clear() {
    filled = 0;
    place = 0;
  }

  public int bytes() {
    return HEADER_BYTES + filled * Double.BYTES;
  }

  public void write(ByteBuffer to) {
    to.putDouble(pivot).putDouble(mean).putDouble(squares).putDouble(squaresPeak);
    to.putInt(filled).putInt(place).putInt(steps);
    to.asDoubleBuffer().put(ring, 0, filled);
    to.position(to.position() + filled * Double.BYTES);
  }

  public void read(ByteBuffer from) {
    pivot = from.getDouble();
    mean = from.getDouble();
    squares = from.getDouble();
    squaresPeak = from.getDouble();
    filled = from.getInt();
    place = from.getInt();
    steps = from.getInt();
    from.asDoubleBuffer().get(ring, 0, filled);
    from.position(from.position() + filled * Double.BYTES);
  }
}
