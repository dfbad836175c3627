//! What comes back of what was written, and what comes of what cannot be read.
