//! A consumer's database, with an application's table and function beside twinbox's, and a consumer that has its role's
//! rights only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::Client;
use twinbox::contract::{Fence, Outbound, Processed, Processor, Work};
use twinbox::postgres::function::{FunctionName, FunctionOptions, FunctionProcessor};
use twinbox::postgres::migrate::{self, Options, Part};
use twinbox::postgres::transaction::{EffectError, InlineOptions, InlineProcessor};
use twinbox::postgres::{Connector, Pool, Schema, Session, Target};
use twinbox::setting::TlsConfig;
use uuid::Uuid;

use crate::conformance::processor::{REFUSED, Workplace, stream};
use crate::support::live;
use crate::support::postgres::{Database, Login};

pub(super) const CONSUMER: &str = "billing";
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The application's part. The type of a message says what becomes of it.
const APPLICATION: &str = "
    create schema billing;
    grant usage on schema billing to twinbox_consumer;
    create table billing.account (name text primary key);
    insert into billing.account values ('known');
    create table billing.effect (
      n bigserial, id uuid, key text, type text, payload jsonb, headers jsonb, attempt int, source text, position text,
      account text references billing.account deferrable initially deferred);
    grant select, insert on billing.effect to twinbox_consumer;
    grant usage on sequence billing.effect_n_seq to twinbox_consumer;
    create function billing.on_event(payload jsonb, id uuid, type text, key text, attempt int, headers jsonb, source text,
      \"position\" text, occurred_at timestamptz)
    returns void language plpgsql as $$
    begin
      case type
        when 'refused' then raise 'not this one' using errcode = 'TB001', detail = 'it is red', hint = 'paint it';
        when 'later' then raise 'not now' using errcode = 'TB002', hint = '30s';
        when 'raised' then raise 'out of paint';
        when 'divided' then perform 1 / (length(type) - 7);
        when 'met' then raise 'met' using errcode = '40001';
        when 'nowhere' then execute 'insert into billing.nowhere values (1)';
        when 'slow' then perform pg_sleep(40);
        else null;
      end case;
      -- Not qualified: found by the search path.
      insert into effect (id, key, type, payload, headers, attempt, source, position, account)
      values (id, key, type, payload, headers, attempt, source, \"position\", case type when 'dangling' then 'nobody' end);
    end $$;";

pub(super) struct Rig {
    pub(super) database: Database,
    pub(super) owner: Client,
    pub(super) pool: Pool,
    pub(super) fence: Arc<Fence>,
    pub(super) processor: Box<dyn Processor>,
    inline: bool,
}

impl Rig {
    /// With the function; none without a server.
    pub(super) async fn new(test: &str) -> Option<Self> {
        Self::with(test, false).await
    }

    /// With a closure that does the same.
    pub(super) async fn inline(test: &str) -> Option<Self> {
        Self::with(test, true).await
    }

    async fn with(test: &str, inline: bool) -> Option<Self> {
        let url = live::postgres(test)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let database = Database::create(&url, &format!("function_{}_{number}", std::process::id())).await;
        let mut owner = database.owner().await;
        let mut options = Options::new(schema());
        options.only = Some(Part::Inbox);
        options.roles = true;
        migrate::apply(&mut owner, &options).await.expect("migrated");
        owner.batch_execute(APPLICATION).await.expect("the application's part");
        database.make_logins().await;
        let pool = pool(&database.login_url(Login::Consumer));
        let fence = Fence::new(stream(), 1, 0);
        let sql =
            "insert into twinbox.consumer_position (consumer, topic, partition, next_offset, epoch, holder, counter)
            values ($1, $2, 0, 0, 1, $3, 0)";
        owner
            .execute(sql, &[&CONSUMER, &&*fence.stream.topic, &fence.holder])
            .await
            .expect("a position of record");
        let rig = Self {
            processor: processor(&pool, inline),
            database,
            owner,
            pool,
            fence: Arc::new(fence),
            inline,
        };
        Some(rig)
    }

    pub(super) async fn process(&self, messages: &[Outbound]) -> Vec<Processed> {
        self.process_to(messages, None).await
    }

    pub(super) async fn process_to(&self, messages: &[Outbound], mark: Option<i64>) -> Vec<Processed> {
        let work = Work {
            fence: Arc::clone(&self.fence),
            mark,
            messages: messages.to_vec(),
        };
        self.processor.process(work).await
    }

    pub(super) async fn run(&self, sql: &str) {
        let done = self.owner.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub(super) async fn value<T>(&self, sql: &str) -> T
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        let row = self.owner.query_one(sql, &[]).await;
        row.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    pub(super) async fn count(&self) -> i64 {
        self.value("select count(*) from billing.effect").await
    }

    pub(super) async fn end(self) {
        drop(self.processor);
        self.pool.close();
        self.database.drop_it().await;
    }
}

impl Workplace for Rig {
    fn processor(&self) -> &dyn Processor {
        &*self.processor
    }

    fn fence(&self) -> Arc<Fence> {
        Arc::clone(&self.fence)
    }

    async fn usurp(&self) {
        self.run("update twinbox.consumer_position set epoch = epoch + 1, holder = gen_random_uuid()")
            .await;
    }

    async fn effects(&self, key: &str) -> Vec<Uuid> {
        let sql = "select id from billing.effect where key = $1 order by n";
        let rows = self.owner.query(sql, &[&key]).await.expect("read");
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn remembered(&self) -> i64 {
        self.value("select count(*) from twinbox.inbox").await
    }

    fn restarted(&self) -> Box<dyn Processor> {
        processor(&self.pool, self.inline)
    }
}

pub(super) fn schema() -> Schema {
    Schema::new("twinbox").expect("a plain name")
}

pub(super) fn pool(url: &str) -> Pool {
    let target = Target::parse(url, &TlsConfig::default()).expect("a good URL");
    Connector::fixed(target, Session::consumer(CONSUMER))
        .pool(4)
        .expect("a pool")
}

pub(super) fn function(pool: &Pool, name: &str) -> FunctionProcessor {
    let options = FunctionOptions {
        consumer: CONSUMER.to_owned(),
        schema: schema(),
        function: FunctionName::parse(name).expect("a function's name"),
        batch: 500,
        concurrency: 2,
    };
    FunctionProcessor::new(pool.clone(), options)
}

fn processor(pool: &Pool, inline: bool) -> Box<dyn Processor> {
    if inline {
        Box::new(closure(pool))
    } else {
        Box::new(function(pool, "billing.on_event"))
    }
}

fn closure(pool: &Pool) -> InlineProcessor {
    let options = InlineOptions {
        consumer: CONSUMER.to_owned(),
        schema: schema(),
        batch: 500,
        concurrency: 2,
    };
    InlineProcessor::new(pool.clone(), options, |transaction, message, attempt| {
        Box::pin(async move {
            if &*message.kind == REFUSED {
                return Err(EffectError::Reject("not this one".to_owned()));
            }
            assert_ne!(&*message.kind, "panics", "a planted panic");
            if &*message.kind == "ignored" {
                let _ = transaction.batch_execute("select 1 / 0").await;
                return Ok(());
            }
            let key = message.key.as_ref().and_then(|key| key.as_str());
            let attempt = i32::try_from(attempt.number).unwrap_or(i32::MAX);
            transaction
                .execute(
                    "insert into billing.effect (id, key, type, attempt) values ($1, $2, $3, $4)",
                    &[&message.id, &key, &&*message.kind, &attempt],
                )
                .await?;
            Ok(())
        })
    })
}
