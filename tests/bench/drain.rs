//! The drain benchmark: how fast a waiting outbox reaches Kafka, beside what the two servers can do and what a naive relay does.
//!
//! Everything is measured in one run on one machine, so that the ratios mean something and the absolute figures need not.
//! `BENCH_ROWS` sets the rows (default 500,000). The run is void, and fails, unless the broker holds every row exactly once.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark keeps time, reads the environment, prints its figures, and ends by a panic that says why"
)]

mod naive;
mod producer;
mod rig;

use std::time::{Duration, Instant};

use rig::{Drained, Rig};

/// The binary's own: librdkafka alone is measured with it, too.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const NAIVE_FOR: Duration = Duration::from_secs(5);

fn main() {
    let rows: u64 = std::env::var("BENCH_ROWS").map_or(500_000, |rows| rows.parse().expect("BENCH_ROWS is a number"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(bench(rows));
}

async fn bench(rows: u64) {
    let rig = Rig::start().await;
    println!(
        "{} · {} · {rows} rows of 256 B, 10,000 keys, 1,000 rows per transaction",
        rig.postgres, rig.kafka
    );
    rig.fill(rows).await;
    let copy = rate(rows, rig.copy());
    let producer = rig.producer_test(rows.min(500_000));
    let client = rig.client_alone(rows);
    let drained = rig.drain("drained", rows).await;
    let twinbox = rate(rows, drained.took);
    let naive = naive::relay(&mut rig.client().await, &rig.brokers, "naive", NAIVE_FOR).await;
    report(&Figures {
        rows,
        copy,
        producer,
        client,
        naive,
        twinbox,
        drained,
    });
}

struct Figures {
    rows: u64,
    copy: f64,
    producer: f64,
    client: Duration,
    naive: f64,
    twinbox: f64,
    drained: Drained,
}

fn report(figures: &Figures) {
    let Figures {
        rows,
        copy,
        producer,
        client,
        naive,
        twinbox,
        drained,
    } = figures;
    let million = *rows as f64 / 1e6;
    let bound = copy.min(*producer);
    println!("COPY binary to /dev/null        {copy:>10.0} rows/s");
    println!("Kafka's own producer test       {producer:>10.0} records/s");
    println!("naive relay (await each)        {naive:>10.0} rows/s");
    println!("twinbox relay                   {twinbox:>10.0} rows/s");
    println!("twinbox / min(COPY, producer)   {:>10.2}   aim 0.35", twinbox / bound);
    println!("twinbox / naive                 {:>10.1}   aim 20", twinbox / naive);
    println!(
        "relay CPU, s per million        {:>10.2}   aim 5",
        drained.cpu.as_secs_f64() / million
    );
    println!(
        "  of which librdkafka alone     {:>10.2}   the same records from memory",
        client.as_secs_f64() / million
    );
    println!(
        "relay peak RSS, MiB             {:>10.1}   aim 64",
        drained.peak_rss_kib as f64 / 1024.0
    );
    println!("first record after start, s     {:>10.2}", drained.first.as_secs_f64());
}

fn rate(rows: u64, took: Duration) -> f64 {
    rows as f64 / took.as_secs_f64()
}

/// Times a piece of work.
fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}
