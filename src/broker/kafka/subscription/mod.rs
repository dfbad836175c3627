//! Kafka as a [`Subscriber`](crate::contract::Subscriber): one member of a consumer group.
//!
//! ```text
//!  member thread ── poll ──▶ ear: assigned, revoked, lost, errors ──▶ board ──▶ Subscription::next
//!       │ hands revoked partitions over                                │ ▲
//!       ▼                                                              ▼ └── Stream::settle, release
//!     group ◀── marks ── teller thread                     a queue for each partition ──▶ Stream::next (decodes there)
//!                        lookout thread: metadata, ends of the logs ──▶ health, lag, what must be told
//! ```
//!
//! Promises: the member thread polls for as long as the subscription lives, whatever handlers do, so membership never
//! depends on work. Nothing is fetched before `begin`: a partition that the group assigns is added to what librdkafka
//! fetches only then. What is committed is the mark of a stream that is ours, and nothing else.
//!
//! # Why a queue for each partition
//!
//! librdkafka's errors reach `rdkafka` without the partition they speak of, but for the queue they arrive in. A queue is
//! also where back-pressure is kept: librdkafka fetches no more for a partition whose queue is full, without a pause that
//! would throw away what was fetched.
//!
//! # What a hand-over costs
//!
//! While a revoked partition is being given up, librdkafka fetches for no partition of this member; what was handed out
//! goes on. It is released as soon as its work in flight is done, so this is short, and bounded.

mod board;
mod cell;
mod ear;
mod failure;
mod incident;
mod lookout;
mod member;
mod record;
mod resolve;
mod stream;
mod subscriber;
mod teller;

pub(super) use subscriber::KafkaSubscriber;
