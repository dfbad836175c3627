//! Values a configuration is written in: durations, sizes, secrets.
