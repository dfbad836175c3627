//! A consumer on a topic of one partition, written by others; its effect is a row per call, in order.

use crate::support::ledger::workload::Payload;
use crate::support::postgres::Login;
use crate::support::relay::Relay;
use crate::support::stage::{CONSUMER, Stage, text};
use crate::support::wait::{self, PATIENCE};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::json;
use std::ops::Range;
use std::path::PathBuf;

/// `version` says which deploy did it; `poison` is rejected.
const HANDLER: &str = "
create schema app;
create table app.deploy (version int not null);
create table app.poison (payload text primary key);
insert into app.deploy values (1);
create table app.effect (n bigint generated always as identity, payload text not null, key text, version int not null);
create function app.on_event(payload text, key text) returns void language plpgsql as $f$
begin
  if exists (select from app.poison p where p.payload = on_event.payload) then
    raise exception 'this one never passes' using errcode = 'TB001';
  end if;
  insert into app.effect (payload, key, version) select on_event.payload, on_event.key, d.version from app.deploy d;
end $f$;
grant usage on schema app to twinbox_consumer;
grant execute on function app.on_event to twinbox_consumer;
grant select on app.deploy, app.poison to twinbox_consumer;
grant insert on app.effect to twinbox_consumer;
";

pub(super) struct Moved {
    pub(super) stage: Stage,
    pub(super) topic: String,
    config: PathBuf,
}

impl Moved {
    pub(super) async fn open(test: &'static str) -> Option<Self> {
        let stage = Stage::of(test).open().await?;
        stage.migrate(Payload::Jsonb).await;
        stage
            .database
            .owner()
            .await
            .batch_execute(HANDLER)
            .await
            .expect("the handler");
        let topic = format!("{}.raw", stage.name);
        stage.kafka.create_topic(&topic, 1, &[]).await;
        let brokers: Vec<&str> = stage.kafka.brokers.split(',').collect();
        let config = stage.config(
            "consumer.yaml",
            json!({ "relays": null, "consumers": { CONSUMER: {
                "from": { "kafka": { "brokers": brokers, "topics": [topic], "group": stage.name } },
                "handler": { "sql": { "function": "app.on_event", "batch": 50 } },
                "limits": { "in_flight": 200 },
            } } }),
        );
        Some(Self { stage, topic, config })
    }

    /// As logs and `/status` name the one stream.
    pub(super) fn stream(&self) -> String {
        format!("{}/0", self.topic)
    }

    pub(super) fn consume(&self) -> Relay {
        self.stage.consumer(&self.config, &[])
    }

    /// Writes numbers, each at its offset, with ten keys.
    pub(super) async fn put(&self, numbers: Range<i64>) {
        let producer: FutureProducer = self.client();
        let sent = numbers.map(|number| {
            let (key, payload) = (format!("k{}", number % 10), number.to_string());
            let record = FutureRecord::to(&self.topic).partition(0).key(&key).payload(&payload);
            producer.send_result(record).expect("there is room")
        });
        for sent in sent.collect::<Vec<_>>() {
            sent.await.expect("not cancelled").expect("written");
        }
    }

    fn client<T: rdkafka::config::FromClientConfig>(&self) -> T {
        let client = ClientConfig::new()
            .set("bootstrap.servers", &self.stage.kafka.brokers)
            .set("enable.idempotence", "true")
            .create();
        client.expect("a client needs no connection")
    }

    /// As retention does.
    pub(super) async fn delete_below(&self, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.stage.kafka.brokers)
            .create()
            .expect("a client needs no connection");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, Offset::Offset(offset))
            .expect("an offset");
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        admin.delete_records(&list, &options).await.expect("the broker deletes");
    }

    /// All numbers that had an effect, as often as they had it, ascending.
    pub(super) async fn effects(&self) -> Vec<i64> {
        let owner = self.stage.database.owner().await;
        let rows = owner
            .query("select payload::bigint from app.effect order by 1", &[])
            .await;
        rows.expect("the effects").iter().map(|row| row.get(0)).collect()
    }

    /// Waits until there are so many effects.
    pub(super) async fn done(&self, count: usize, consumer: &Relay) {
        wait::until(&format!("{count} effects"), PATIENCE, || async {
            consumer.must_be_up();
            let seen = self.effects().await.len();
            wait::ensure(seen >= count, || format!("{seen}; {}", consumer.words()))
        })
        .await;
    }

    /// What an operator types: exit code, data, words.
    pub(super) fn operate(&self, arguments: &[&str]) -> (i32, String, String) {
        let config = self.config.to_str().expect("a UTF-8 path");
        let arguments = [arguments, &["-c", config]].concat();
        let done = self
            .stage
            .run(&self.stage.database.login_url(Login::Operator), &arguments);
        let code = done.status.code().expect("it was not killed");
        (code, text(&done.stdout), text(&done.stderr))
    }
}
