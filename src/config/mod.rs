//! Load, check and explain the configuration.
