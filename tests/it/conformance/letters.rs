//! The promises of a `LetterStore`, P1–P6.
