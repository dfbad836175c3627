//! The claim of a stream: what is signed before it is called for, and with how much care (S23, S39).
//!
//! Promises: nothing at or above `tried_to` is called for; after an owner died with a claim, at most limit >> 3·care messages
//! are in flight until what it had signed is behind; at a width of one every start is recorded, and only a crash while alone
//! counts against a message.

use std::time::{Duration, Instant};

use crate::contract::Claim;

/// Bits of the width that each death takes.
const NARROWER: u32 = 3;

/// What was signed by us, and what the dead left.
#[derive(Debug)]
pub(super) struct Care {
    limit: usize,
    /// Below it everything is signed.
    tried_to: i64,
    care: u32,
    /// Care ends there.
    until: i64,
    alone: Option<(i64, u32)>,
    /// How long a call may take that nothing keeps out once its owner is fenced.
    call: Duration,
    /// A call that begins later than that would outlast what was signed.
    renew_at: Option<Instant>,
}

// === impl Care ===

impl Care {
    /// After a clean hand-over (none), or after an owner that died with that claim.
    pub(super) fn new(limit: usize, left: Option<Claim>, call: Duration) -> Self {
        let left = left.unwrap_or_default();
        let cares = left.tried_to > 0;
        Self {
            limit: limit.max(1),
            tried_to: 0,
            care: if cares { left.care.saturating_add(1) } else { 0 },
            until: left.tried_to,
            alone: left.alone,
            call,
            renew_at: None,
        }
    }

    /// How many messages may be in flight; none = no care is taken.
    pub(super) fn width(&self) -> Option<usize> {
        (self.care > 0).then(|| {
            let narrow = self.care.saturating_mul(NARROWER);
            self.limit.checked_shr(narrow).unwrap_or(0).max(1)
        })
    }

    /// Everything below `mark` is settled. Answers whether care has ended with it.
    pub(super) fn passed(&mut self, mark: i64) -> bool {
        let ended = self.care > 0 && mark >= self.until;
        if ended {
            (self.care, self.alone) = (0, None);
        }
        ended
    }

    /// What is to be signed before a message at that offset is called for; none when it is signed already.
    pub(super) fn needed(&self, offset: i64, now: Instant) -> Option<Claim> {
        let alone = self.width() == Some(1) && offset < self.until;
        if alone {
            let times = self.deaths(offset) + 1;
            return Some(Claim {
                tried_to: self.until.max(offset + 1),
                care: self.care,
                alone: Some((offset, times)),
            });
        }
        let width = self.width().unwrap_or(self.limit);
        let stale = self.renew_at.is_some_and(|at| at <= now);
        (offset >= self.tried_to || stale).then(|| Claim {
            tried_to: self
                .until
                .max(self.tried_to)
                .max(offset + 1 + i64::try_from(width).unwrap_or(i64::MAX / 2)),
            care: self.care,
            alone: None,
        })
    }

    /// For how long a claim is signed: a call that begins just before it is renewed has its whole time.
    pub(super) fn time(&self) -> Duration {
        self.call * 2
    }

    /// It was signed.
    pub(super) fn signed(&mut self, claim: Claim, now: Instant) {
        self.renew_at = (!self.call.is_zero()).then(|| now + self.call);
        self.tried_to = self.tried_to.max(claim.tried_to);
    }

    /// What is left of it after a clean end: only what others died of, while that lies ahead (S23).
    pub(super) fn legacy(&self) -> Option<Claim> {
        let care = self.care.checked_sub(1)?;
        Some(Claim {
            tried_to: self.until,
            care,
            alone: self.alone,
        })
    }

    /// How often the process died while it was alone with the message at that offset.
    pub(super) fn deaths(&self, offset: i64) -> u32 {
        self.alone.filter(|(at, _)| *at == offset).map_or(0, |(_, times)| times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn s23_what_was_signed_is_renewed_before_a_call_could_outlast_it() {
        let (mut care, start) = (Care::new(100, None, Duration::from_secs(30)), now());
        let claim = care.needed(0, start).unwrap();
        care.signed(claim, start);
        assert_eq!(care.time(), Duration::from_secs(60));
        assert_eq!(care.needed(1, start + Duration::from_secs(29)), None);
        let again = care
            .needed(1, start + Duration::from_secs(30))
            .expect("its call could last until the end");
        assert!(again.tried_to >= claim.tried_to);
        let fenced = Care::new(100, None, Duration::ZERO);
        assert!(
            fenced.renew_at.is_none(),
            "where every effect is fenced there is nothing to wait for"
        );
    }

    fn died(tried_to: i64, care: u32, alone: Option<(i64, u32)>) -> Care {
        Care::new(4_000, Some(Claim { tried_to, care, alone }), Duration::ZERO)
    }

    #[test]
    fn a_clean_hand_over_takes_no_care() {
        let care = Care::new(4_000, None, Duration::ZERO);
        assert_eq!(care.width(), None);
        let claim = care.needed(10, now()).expect("nothing is signed yet");
        assert_eq!((claim.tried_to, claim.care, claim.alone), (4_011, 0, None));
    }

    #[test]
    fn what_is_signed_is_not_signed_again() {
        let mut care = Care::new(100, None, Duration::ZERO);
        let claim = care.needed(0, now()).unwrap();
        care.signed(claim, now());
        assert_eq!(care.needed(claim.tried_to - 1, now()), None);
        assert!(care.needed(claim.tried_to, now()).is_some());
    }

    #[test]
    fn s23_each_death_narrows_to_an_eighth_and_never_below_one() {
        let widths: Vec<_> = (0..6).map(|care| died(50, care, None).width()).collect();
        assert_eq!(widths, [Some(500), Some(62), Some(7), Some(1), Some(1), Some(1)]);
        assert_eq!(died(50, u32::MAX, None).width(), Some(1));
    }

    #[test]
    fn s23_only_a_death_alone_counts() {
        let wide = died(50, 0, None);
        assert_eq!(wide.needed(10, now()).unwrap().alone, None);
        let alone = died(50, 3, Some((10, 2)));
        assert_eq!((alone.deaths(10), alone.deaths(11)), (2, 0));
        assert_eq!(alone.needed(10, now()).unwrap().alone, Some((10, 3)));
        assert_eq!(alone.needed(11, now()).unwrap().alone, Some((11, 1)));
    }

    #[test]
    fn s23_care_ends_past_what_the_dead_had_signed() {
        let mut care = died(50, 3, Some((10, 2)));
        assert!(!care.passed(49));
        assert_eq!(care.width(), Some(1));
        assert!(care.passed(50));
        assert_eq!(care.width(), None);
    }

    #[test]
    fn s23_a_clean_end_in_the_middle_of_care_is_no_death() {
        let mut care = died(50, 3, Some((10, 2)));
        let claim = care.needed(10, now()).unwrap();
        assert_eq!(claim.alone, Some((10, 3)), "its start is signed");
        care.signed(claim, now());
        let legacy = care.legacy();
        assert_eq!(
            legacy,
            Some(Claim {
                tried_to: 50,
                care: 3,
                alone: Some((10, 2))
            })
        );
        let next = Care::new(4_000, legacy, Duration::ZERO);
        assert_eq!(
            (next.width(), next.deaths(10)),
            (care.width(), 2),
            "as careful as before, and no more"
        );
        assert!(care.passed(50));
        assert_eq!(care.legacy(), None);
    }

    #[test]
    fn a_claim_of_the_dead_is_never_taken_back() {
        let mut care = died(5_000, 0, None);
        let claim = care.needed(10, now()).unwrap();
        assert_eq!(claim.tried_to, 5_000, "whoever dies next leaves all of it");
        care.signed(claim, now());
        assert_eq!(care.needed(11, now()), None);
    }
}
