//! KC05–KC10, KC15, KC16: the process ends inside the transaction, and the next one finds all of it or nothing.
//!
//! The process that dies is this test program once more, with one point armed; what it was given it reads from the
//! environment.

use std::process::{Command, Stdio};
use std::sync::Arc;

use twinbox::contract::{Fence, Outbound, Processed, Processor as _, Work};
use twinbox::fault::EFFECT_POINTS;
use uuid::Uuid;

use super::rig::{CONSUMER, Rig, function, pool};
use crate::conformance::processor::{Workplace as _, changed, delivery, stream};
use crate::support::postgres::Login;

const URL: &str = "TWINBOX_VICTIM_URL";
const HOLDER: &str = "TWINBOX_VICTIM_HOLDER";
const VICTIM: &str = "backends::postgres_function::crashes::the_process_that_dies";

/// The same messages in both processes: two lanes, and one message that is refused.
fn batch() -> Vec<Outbound> {
    (0..20)
        .map(|n| {
            let kind = if n == 10 { "refused" } else { "made" };
            let one = delivery(n, Some(if n % 2 == 0 { "a" } else { "b" }), kind);
            changed(&one, |content| {
                content.id = Uuid::from_u128(0xfeed_0000 + u128::from(n));
                let origin = content.origin.as_mut().expect("it was delivered");
                origin.identity = content.id;
            })
        })
        .collect()
}

/// No test by itself: does nothing unless it was started by the one below.
#[tokio::test]
async fn the_process_that_dies() {
    let (Ok(url), Ok(holder)) = (std::env::var(URL), std::env::var(HOLDER)) else {
        return;
    };
    let holder: Uuid = holder.parse().expect("a holder");
    let work = Work {
        fence: Arc::new(Fence::new(stream(), 1, 0).held_by(holder)),
        mark: Some(20),
        messages: batch(),
    };
    function(&pool(&url), "billing.on_event").process(work).await;
}

#[tokio::test]
async fn a_crash_at_any_point_leaves_all_of_a_transaction_or_nothing() {
    for (number, point) in EFFECT_POINTS {
        let Some(rig) = Rig::new("a_crash_at_any_point").await else {
            return;
        };
        let log = std::env::temp_dir().join(format!("{}_{number}", rig.database.name));
        let mut victim = Command::new(std::env::current_exe().expect("this program"));
        victim
            .args([VICTIM, "--exact", "--nocapture"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        victim
            .env(URL, rig.database.login_url(Login::Consumer))
            .env(HOLDER, rig.fence.holder.to_string());
        victim
            .env("TWINBOX_FAULT", format!("{point}=abort@1"))
            .env("TWINBOX_FAULT_LOG", &log);
        let ended = tokio::task::spawn_blocking(move || victim.status())
            .await
            .expect("joined")
            .expect("started");
        assert!(!ended.success(), "{number} {point} was not reached");
        let noted = std::fs::read_to_string(&log).expect("a log of what was hit");
        assert_eq!(noted.trim(), *point, "{number}");
        std::fs::remove_file(&log).expect("removed");
        // What is left is whole: an inbox row for each effect.
        let torn = "select count(*) from twinbox.inbox i full join billing.effect e on e.id = i.message_id
            where i.message_id is null or e.id is null";
        assert_eq!(rig.value::<i64>(torn).await, 0, "{number}");
        let durable = rig.count().await;
        // The successor.
        rig.usurp().await;
        let fence = Fence::new(stream(), 2, 0);
        let sql = "update twinbox.consumer_position set holder = $1 where consumer = $2";
        rig.owner
            .execute(sql, &[&fence.holder, &CONSUMER])
            .await
            .expect("taken over");
        let work = Work {
            fence: Arc::new(fence),
            mark: None,
            messages: batch(),
        };
        let answers = rig.restarted().process(work).await;
        let duplicates = answers.iter().filter(|answer| **answer == Processed::Duplicate).count();
        assert_eq!(i64::try_from(duplicates).ok(), Some(durable), "{number}");
        let own = |lane: u64| {
            batch()
                .into_iter()
                .filter(move |one| one.message.position.major % 2 == lane)
        };
        let even: Vec<Uuid> = own(0).map(|one| one.message.id).take(5).collect();
        let odd: Vec<Uuid> = own(1).map(|one| one.message.id).collect();
        assert_eq!(
            rig.effects("a").await,
            even,
            "{number}: once, in order, up to the refused one"
        );
        assert_eq!(rig.effects("b").await, odd, "{number}: once, in order");
        rig.end().await;
    }
}
