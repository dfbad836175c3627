//! Wiring, supervision, admin HTTP, exporters.
