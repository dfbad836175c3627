//! The shared suites on PostgreSQL.

use super::rig::Rig;
use crate::conformance::{inbox, inbox_letters};

macro_rules! suite {
    ($($area:ident: $($promise:ident)*;)*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let Some(rig) = Rig::new(stringify!($promise)).await else { return };
                $area::$promise(&rig).await;
                rig.end().await;
            }
        )*)*
    };
}

suite! {
    inbox:
        p1_whoever_had_the_stream_before_writes_nothing
        p1_streams_are_fenced_apart
        p2_what_is_recorded_is_known_across_rotations
        p3_the_position_never_goes_back
        p4_a_claim_stays_until_it_is_yielded
        p5_a_burial_is_one_transaction
        s21_a_database_that_went_back_is_noticed_and_told
        s22_where_it_began_is_written_before_anything_comes;
    inbox_letters:
        p2_storing_moves_the_mark_and_is_done_once
        p3_a_letter_comes_back_as_it_was_received
        s01_an_append_behind_a_closed_lane_stays_live
        s04_what_was_given_up_is_a_duplicate_for_ever
        s05_ten_callers_pick_one_lane_once
        s06_what_is_done_is_not_parked
        s29_a_release_raises_no_epoch
        s30_lanes_of_other_streams_are_not_ours
        s32_a_lane_is_drained_in_runs
        s35_what_was_finished_late_is_swept
        s39_only_a_death_alone_keeps_the_attempt;
}
