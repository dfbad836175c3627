//! The shared suites on PostgreSQL.

use super::rig::Rig;
use crate::conformance::{destinations, lease, letters, source};

macro_rules! suite {
    ($rig:path => $($area:ident: $($promise:ident)*;)*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let Some(rig) = $rig(stringify!($promise)).await else { return };
                $area::$promise(&rig).await;
                rig.end().await;
            }
        )*)*
    };
}

suite! {
    Rig::new =>
    source:
        p1_positions_strictly_increase
        p2_what_rolled_back_never_comes_and_what_commits_comes_once
        p3_what_is_not_settled_comes_again_identically
        p3_a_crash_in_the_middle_of_a_long_window_loses_nothing
        p4_what_is_settled_is_forgotten_and_nothing_else
        p5_a_page_fits_the_room
        p5_what_fits_no_room_comes_withheld
        outbox_p2_a_holder_of_before_writes_nothing;
    destinations:
        p1_what_was_kept_comes_back_to_every_holder
        p2_an_acceptance_serves_once_and_forgets;
    lease:
        p1_an_epoch_has_one_holder
        p2_nobody_takes_a_running_lease
        p2_a_holder_that_stops_renewing_is_replaced_in_time
        p2_a_holder_whose_session_ends_is_replaced_at_once
        p3_after_resigning_anybody_takes_it_at_once
        p4_trust_ends_before_the_lease;
    letters:
        p1_a_lane_is_blocked_while_its_row_exists
        p2_a_store_is_all_or_nothing_and_once
        p2_what_is_stored_is_settled_with_it
        p3_letters_come_back_in_order_with_their_bytes
        p4_a_due_lane_is_given_to_one_caller
        p4_a_new_holder_takes_over_what_was_claimed
        p5_releasing_closes_nothing
        p5_a_rest_keeps_what_happened
        p6_a_dropped_message_never_comes_again
        p7_counting_changes_nothing
        s01_an_append_behind_a_closed_lane_stays_live
        s29_a_release_raises_no_epoch
        s33_a_late_delivery_closes_its_letter_and_keeps_the_rest;
}

/// The same on an outbox of partitions, a second each, so that a test's rows lie in several.
mod partitions {
    use super::*;

    suite! {
        Rig::partitioned =>
        source:
            p1_positions_strictly_increase
            p2_what_rolled_back_never_comes_and_what_commits_comes_once
            p3_what_is_not_settled_comes_again_identically
            p3_a_crash_in_the_middle_of_a_long_window_loses_nothing
            p4_what_is_settled_is_forgotten_and_nothing_else
            p5_a_page_fits_the_room
            p5_what_fits_no_room_comes_withheld
            outbox_p2_a_holder_of_before_writes_nothing;
        letters:
            p2_a_store_is_all_or_nothing_and_once
            p3_letters_come_back_in_order_with_their_bytes
            p6_a_dropped_message_never_comes_again;
    }
}
