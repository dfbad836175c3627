//! Values a configuration is written in: durations, sizes, secrets, and the shape of a broker's section.
//!
//! Promises: a value that parses is a value that can be used; an error says what to write instead; nothing here prints
//! a secret. The floor is this low because the adapters' `config.rs` and `config/` both build on it.

mod backend;
mod complaint;
mod duration;
mod format;
mod scalar;
mod secret;
mod size;
mod tls;

pub use backend::{BackendConfig, ConsumeConfig, RouteField, Settings, SettingsError};
pub use complaint::{Complaint, Complaints};
pub use duration::{DURATION_MAX, Duration, DurationError};
pub use format::{DURATION, FILE, Format, SECRET, SIZE, START, one_of};
pub use scalar::Scalar;
pub use secret::{SECRET_BYTES_MAX, Secret, SecretError, SecretText};
pub use size::{Size, SizeError};
pub use tls::TlsConfig;
