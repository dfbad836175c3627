//! The relay engine: committed outbox rows to a broker, in order per key.
