//! How long something rests after a failure, and when it has had enough.
//!
//! Promises: a rest is never longer than `rest_max`; attempt `attempts_max` is the last.
//!
//! # Why full jitter
//!
//! A broker that returns would meet every waiting lane in the same millisecond. A rest drawn from the whole interval
//! spreads them out; half the average wait is the price, and it is a good one.

use std::time::Duration;

/// After 20 doublings even a rest of 1 ms has passed every `rest_max` that the configuration accepts.
const DOUBLINGS_MAX: u32 = 20;

/// The arithmetic of resting. Sleeping is the shell's work, drawing random numbers too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestPolicy {
    /// Upper end of the first rest's draw.
    pub rest_first: Duration,
    /// Upper end of every later draw.
    pub rest_max: Duration,
    /// Attempts that count before a message is given to a person.
    pub attempts_max: u32,
}

// === impl RestPolicy ===

impl RestPolicy {
    /// The rest after failure number `failures` in a row; the first is 1.
    #[must_use]
    pub fn after(&self, failures: u32, random: u64) -> Duration {
        debug_assert!(failures >= 1, "failures are counted from 1");
        share(self.ceiling(failures), random)
    }

    /// A rest that is not drawn: what a probe of a misconfigured destination waits, doubling from `first`.
    #[must_use]
    pub fn steady(first: Duration, longest: Duration, failures: u32) -> Duration {
        first
            .saturating_mul(1 << failures.saturating_sub(1).min(DOUBLINGS_MAX))
            .min(longest)
    }

    /// Whether that many attempts that speak of the message are enough.
    #[must_use]
    pub fn exhausted(&self, attempts: u32) -> bool {
        attempts >= self.attempts_max
    }

    fn ceiling(&self, failures: u32) -> Duration {
        Self::steady(self.rest_first, self.rest_max, failures)
    }
}

/// `whole * random / 2^64`, in integers: a float would lose the low bits of both.
fn share(whole: Duration, random: u64) -> Duration {
    Duration::from_nanos_u128((whole.as_nanos() * u128::from(random)) >> 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: RestPolicy = RestPolicy {
        rest_first: Duration::from_millis(200),
        rest_max: Duration::from_secs(60),
        attempts_max: 12,
    };

    proptest! {
        #[test]
        fn a_rest_never_passes_its_ceiling(failures in 1..u32::MAX, random: u64) {
            let doubled = 200_u128 << (failures - 1).min(40);
            prop_assert!(POLICY.after(failures, random) <= POLICY.rest_max);
            prop_assert!(POLICY.after(failures, random).as_millis() <= doubled);
        }
    }

    #[test]
    fn the_whole_interval_is_drawn() {
        assert_eq!(POLICY.after(1, 0), Duration::ZERO);
        assert!(POLICY.after(1, u64::MAX) >= Duration::from_micros(199_999));
        assert_eq!(POLICY.after(2, 1 << 63), Duration::from_millis(200));
    }

    #[test]
    fn the_last_attempt_is_the_twelfth() {
        assert!(!POLICY.exhausted(11));
        assert!(POLICY.exhausted(12));
    }
}
