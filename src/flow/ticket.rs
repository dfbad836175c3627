//! Tickets: what a receipt speaks of.
//!
//! Promises: no ticket is used twice in a term, as the publisher's caller promises; so a late or repeated receipt settles
//! what it was made for, or nothing (S12).

use crate::contract::Ticket;

/// Tickets of letters have this bit; those of live messages never reach it.
const LETTER: u64 = 1 << 63;
/// Low bits of a letter's ticket: its index inside the run.
const INDEX_BITS: u32 = 16;
/// Low bits of a message's ticket: its local number. Above it stands how often it was handed over, modulo 2^16.
const NUMBER_BITS: u32 = 47;

/// What a ticket names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// A message that was read, by its local number.
    Message(u64),
    /// A letter: its run, and its index in it.
    Letter(u64, usize),
}

/// The ticket of a message's next hand-over.
pub(super) fn of_message(number: u64, before: Ticket) -> Ticket {
    let times = (before.0 >> NUMBER_BITS).wrapping_add(1) & 0xffff;
    Ticket(times << NUMBER_BITS | number)
}

/// The ticket of a letter.
pub(super) fn of_letter(run: u64, index: usize) -> Ticket {
    Ticket(LETTER | run << INDEX_BITS | index as u64)
}

/// What that ticket names.
pub(super) fn named(ticket: Ticket) -> Named {
    if ticket.0 & LETTER == 0 {
        return Named::Message(ticket.0 & ((1 << NUMBER_BITS) - 1));
    }
    let index = ticket.0 & ((1 << INDEX_BITS) - 1);
    Named::Letter(
        (ticket.0 & !LETTER) >> INDEX_BITS,
        usize::try_from(index).unwrap_or(usize::MAX),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn s12_a_ticket_names_what_it_was_made_for(number in 0..1_u64 << NUMBER_BITS, run in 0..1_u64 << 46, index in 0..500_usize) {
            let (mut ticket, mut seen) = (Ticket(number), std::collections::HashSet::new());
            for _ in 0..100 {
                ticket = of_message(number, ticket);
                prop_assert_eq!(named(ticket), Named::Message(number));
                prop_assert!(seen.insert(ticket), "used twice");
            }
            prop_assert_eq!(named(of_letter(run, index)), Named::Letter(run, index));
        }
    }
}
