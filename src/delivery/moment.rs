//! Time and chance, handed to every rule as one argument.
//!
//! Promises: whoever decides with a `Moment` decides the same for the same `Moment`; a simulation owns both parts.

use std::time::Instant;

/// Now, and one draw. Mix the draw with a lane's number, or all lanes rest equally long.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Monotonic time.
    pub now: Instant,
    /// One uniform draw for the whole step.
    pub random: u64,
}

// === impl Moment ===

impl Moment {
    /// A draw for one lane: the step's draw, mixed with the lane's number (the finaliser of splitmix64).
    #[must_use]
    pub fn draw(&self, lane: u64) -> u64 {
        let mut z = self.random ^ lane.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
