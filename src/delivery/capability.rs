//! What a broker can do, declared once and read by rules: there is no `if kafka` above `broker/`.

/// Inside what a broker keeps order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// None at all.
    None,
    /// Inside a partition; one key stays on one partition.
    Partition,
    /// Inside a queue with one consumer.
    Queue,
    /// Inside a message group.
    Group,
}

/// What a broker offers for one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Inside what it keeps order.
    pub order: Order,
    /// How many messages of one lane may be in flight together: many only where a failure in the middle cannot let
    /// later ones through.
    pub run_max: u32,
    /// Largest message the destination takes by default, in bytes with key and headers; a destination may say less.
    pub message_bytes_max: u64,
    /// Whether an acknowledged message survives the loss of the process that acknowledged it.
    pub survives: bool,
    /// Whether a null payload stays distinguishable from an empty one (tombstone).
    pub tombstones: bool,
}
