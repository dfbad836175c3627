//! The brokers, one folder each, and the table of them.
