//! Functions that cannot be called, and functions that change while they are.

use twinbox::contract::{Grade, Processed, Processor as _};
use twinbox::delivery::FailureKind;

use super::rig::{Rig, function};
use crate::conformance::processor::delivery;

#[tokio::test]
async fn a_function_that_cannot_be_called_is_refused_with_what_to_write() {
    let Some(rig) = Rig::new("a_function_that_cannot_be_called_is_refused").await else {
        return;
    };
    rig.run(
        "create procedure billing.procedure(id uuid) language sql as 'select';
         create function billing.typed(id text) returns void language sql as 'select';
         create function billing.named(customer text) returns void language sql as 'select';
         create function billing.unnamed(uuid) returns void language sql as 'select';
         create function billing.out(id uuid, out x int) language sql as 'select 1';
         create function billing.variadic(variadic id uuid[]) returns void language sql as 'select';
         create function billing.returning(id uuid) returns int language sql as 'select 1';
         create function billing.several(id uuid) returns void language sql as 'select';
         create function billing.several(key text) returns void language sql as 'select';
         create function billing.strict(key text) returns void strict language sql as 'select';
         create function billing.closed(id uuid) returns void language sql as 'select';
         revoke execute on function billing.closed from public;
         create schema hidden; create function hidden.f() returns void language sql as 'select';
         create function billing.steady(id uuid) returns void stable language sql as 'select';
         create function billing.\"Odd Name\"(\"type\" text, payload json) returns void language sql as 'select'",
    )
    .await;
    let cases = [
        ("billing.missing", "there is no function billing.missing"),
        ("billing.procedure", "procedure"),
        ("billing.typed", "`id text`"),
        ("billing.named", "`customer text`"),
        ("billing.unnamed", "without a name"),
        ("billing.out", "OUT"),
        ("billing.variadic", "VARIADIC"),
        ("billing.returning", "returns integer: write `returns void`"),
        ("billing.several", "billing.several(id uuid); billing.several(key text)"),
        ("billing.strict", "called on null input"),
        (
            "billing.closed",
            "grant execute on function \"billing\".\"closed\"(id uuid) to",
        ),
        ("hidden.f", "grant usage on schema \"hidden\" to"),
    ];
    for (name, expected) in cases {
        let processor = function(&rig.pool, name);
        let failure = processor.check().await.expect_err(name);
        assert_eq!(failure.kind, FailureKind::Destination, "{name}");
        assert!(failure.message.contains(expected), "{name}: {}", failure.message);
        assert_eq!(processor.findings().await[0].grade, Grade::Fail);
    }
    assert_eq!(
        function(&rig.pool, "billing.steady").findings().await[0].grade,
        Grade::Warn
    );
    assert_eq!(rig.processor.findings().await[0].grade, Grade::Ok);
    for good in ["billing.on_event", "billing.\"Odd Name\""] {
        function(&rig.pool, good).check().await.expect(good);
    }
    rig.end().await;
}

#[tokio::test]
async fn without_the_grant_nothing_is_burnt_and_after_it_all_goes_on() {
    let Some(rig) = Rig::new("without_the_grant_nothing_is_burnt").await else {
        return;
    };
    let messages = [delivery(1, Some("a"), "made"), delivery(2, Some("b"), "made")];
    rig.run("revoke execute on function billing.on_event from public").await;
    for answer in rig.process(&messages).await {
        let Processed::Failed(failure) = answer else {
            panic!("it did not fail");
        };
        assert_eq!(failure.kind, FailureKind::Destination, "{failure:?}");
        assert!(failure.message.contains("grant execute on function"), "{failure:?}");
    }
    rig.run("grant execute on function billing.on_event to twinbox_consumer")
        .await;
    assert_eq!(rig.process(&messages).await, [Processed::Done, Processed::Done]);
    // Taken away while it runs: the catalogue is asked again.
    rig.run("revoke execute on function billing.on_event from twinbox_consumer")
        .await;
    let Processed::Failed(failure) = &rig.process(&[delivery(3, Some("a"), "made")]).await[0] else {
        panic!("it did not fail");
    };
    assert!(failure.message.contains("grant execute on function"), "{failure:?}");
    rig.end().await;
}

#[tokio::test]
async fn a_function_that_is_replaced_is_called_as_it_is_then() {
    let Some(rig) = Rig::new("a_function_that_is_replaced_is_called_as_it_is_then").await else {
        return;
    };
    let call = async |n| rig.process(&[delivery(n, Some("a"), "made")]).await;
    assert_eq!(call(1).await, [Processed::Done]);
    // The same parameters, another body.
    rig.run(
        "create or replace function billing.on_event(payload jsonb, id uuid, type text, key text, attempt int, headers jsonb,
           source text, \"position\" text, occurred_at timestamptz)
         returns void language sql as $$ insert into billing.effect (key, type) values (key, 'second') $$",
    )
    .await;
    assert_eq!(call(2).await, [Processed::Done]);
    // Other parameters.
    rig.run(
        "begin; drop function billing.on_event;
         create function billing.on_event(key text, payload bytea) returns void language sql as
           $$ insert into billing.effect (key, type) values (key, 'third ' || octet_length(payload)) $$;
         commit",
    )
    .await;
    assert_eq!(call(3).await, [Processed::Done]);
    let seen: String = rig
        .value("select string_agg(type, ', ' order by n) from billing.effect")
        .await;
    assert_eq!(seen, "made, second, third 13");
    // Gone, and back.
    rig.run("alter function billing.on_event rename to off").await;
    let Processed::Failed(failure) = &call(4).await[0] else {
        panic!("it did not fail");
    };
    assert_eq!(failure.kind, FailureKind::Destination);
    assert!(
        failure.message.contains("there is no function billing.on_event"),
        "{failure:?}"
    );
    rig.run("alter function billing.off rename to on_event").await;
    assert_eq!(call(4).await, [Processed::Done]);
    rig.end().await;
}
