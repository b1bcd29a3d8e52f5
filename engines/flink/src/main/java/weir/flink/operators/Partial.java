package weir.flink.operators;

/**
 * What a window holds of one series: on time, or of its late readings alone. Key: (series, window,
 * start, is late); a later one of a key replaces. On-time and late ones of a window are merged by
 * whoever reads them. The twin of a row of {@code PARTIAL_STRIDE} in {@code src/stream/stream.ts}.
 *
 * @param squares centred sum of squares (Welford, Chan for merges)
 */
public record Partial(
    long windowMs,
    long startMs,
    boolean isLate,
    long count,
    double sum,
    double min,
    double max,
    double mean,
    double squares,
    double first,
    long firstTimeUs,
    double last,
    long lastTimeUs) {}
