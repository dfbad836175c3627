//! The binary from outside: arguments, exit codes, what is on which stream.

mod usage;
