//! Pure rules: order, watermark, rests, verdicts, routes. No I/O, no clock, no randomness.
