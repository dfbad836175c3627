//! Values: what a message is, without any idea of where it comes from or goes to.
//!
//! Floor 0. Nothing here knows a clock, a network or a vendor.

mod envelope;
mod headers;
mod key;
mod origin;
mod position;

pub use envelope::{Body, Content, ContentType, Message};
pub use headers::{Headers, ODD_HEADERS};
pub use key::Key;
pub use origin::{IDS, Origin, uuid_of};
pub use position::{ParsePositionError, Position};
