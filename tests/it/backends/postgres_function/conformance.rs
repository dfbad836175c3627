//! P1–P5, by the function and by the closure.

use super::rig::Rig;
use crate::conformance::processor;

macro_rules! promises {
    ($($name:ident)*) => {
        mod function {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let Some(rig) = Rig::new(stringify!($name)).await else {
                        return;
                    };
                    processor::$name(&rig).await;
                    rig.end().await;
                }
            )*
        }

        mod inline {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let Some(rig) = Rig::inline(stringify!($name)).await else {
                        return;
                    };
                    processor::$name(&rig).await;
                    rig.end().await;
                }
            )*
        }
    };
}

promises! {
    p1_one_answer_per_message_in_the_batchs_order
    p2_what_was_done_is_a_duplicate_afterwards
    p3_a_failure_stops_its_lane
    p4_a_failing_message_holds_no_other_lane_up
    p5_under_a_lost_fence_nothing_becomes_durable
}
