//! The binary from outside: arguments, exit codes, what is on which stream, how a process lives and ends.

mod operator;
mod process;
mod usage;
