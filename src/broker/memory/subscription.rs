//! The memory broker as a [`Subscriber`]: the reference of what a subscription owes.
//!
//! Promises: those of the contract, each as plainly as it can be kept. A topic is one stream without partitions; it keeps
//! everything it ever took, and no times: a start at a time is the start of the topic.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::config::MemoryConsumeConfig;
use super::groups::{Claim, Hold};
use super::publisher::now;
use super::{Cluster, Record};
use crate::broker::{Reader, Received, SubscribeContext};
use crate::contract::{
    Begin, Boxed, Fate, Finding, Happening, Health, Incident, Lag, Page, Room, Start, Stream, StreamError, StreamName,
    Subscriber, Subscription,
};
use crate::delivery::{Failure, FailureKind};

/// A configured group on a memory broker.
#[derive(Debug)]
pub struct MemorySubscriber {
    cluster: Cluster,
    config: MemoryConsumeConfig,
    context: SubscribeContext,
}

#[derive(Debug)]
struct MemorySubscription {
    desk: Arc<Desk>,
    member: u64,
    said: Mutex<Health>,
}

/// What a member's streams share.
#[derive(Debug)]
struct Desk {
    cluster: Cluster,
    consumer: String,
    group: String,
    reader: Reader,
}

#[derive(Debug)]
struct MemoryStream {
    desk: Arc<Desk>,
    name: StreamName,
    term: u64,
    place: Mutex<Place>,
    seen: Mutex<Hold>,
}

#[derive(Debug, Default)]
struct Place {
    next: Option<usize>,
    mark: i64,
}

// === impl MemorySubscriber ===

impl MemorySubscriber {
    /// A group on that cluster.
    #[must_use]
    pub fn new(cluster: Cluster, config: MemoryConsumeConfig, context: SubscribeContext) -> Self {
        Self {
            cluster,
            config,
            context,
        }
    }

    fn join(&self) -> MemorySubscription {
        let name = &self.context.name;
        let group = if self.config.group.is_empty() {
            name
        } else {
            &self.config.group
        };
        let (topics, patience) = (self.config.topics.clone(), self.context.drain);
        let member = self.cluster.group(group, |group| group.join(topics, patience));
        MemorySubscription {
            desk: Arc::new(Desk {
                cluster: self.cluster.clone(),
                consumer: name.clone(),
                group: group.clone(),
                reader: Reader {
                    reads: self.context.reads,
                    dedupe: self.context.dedupe.clone(),
                    per_topic: self.context.per_topic,
                },
            }),
            member,
            said: Mutex::default(),
        }
    }
}

impl Subscriber for MemorySubscriber {
    fn subscribe(&self) -> Boxed<'_, Result<Arc<dyn Subscription>, Failure>> {
        Box::pin(async { Ok(Arc::new(self.join()) as Arc<dyn Subscription>) })
    }

    fn findings(&self) -> Boxed<'_, Vec<Finding>> {
        Box::pin(std::future::ready(vec![super::publisher::volatile()]))
    }
}

// === impl MemorySubscription ===

impl MemorySubscription {
    fn look(&self) -> Option<Happening> {
        let health = if self.desk.cluster.is_down() {
            let failure = Failure::new(FailureKind::Unreachable, "Down", "the memory broker was taken away");
            Health::Away(Arc::new(failure))
        } else {
            Health::Up
        };
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != health {
            said.clone_from(&health);
            return Some(Happening::Health(health));
        }
        let (changed, news) = self
            .desk
            .cluster
            .group(&self.desk.group, |group| (group.share(now()), group.news(self.member)));
        if changed {
            self.desk.cluster.tell();
        }
        let streams = news.into_iter().map(|(topic, term)| self.stream(topic, term));
        let streams: Vec<_> = streams.collect();
        (!streams.is_empty()).then_some(Happening::Assigned(streams))
    }

    fn stream(&self, topic: String, term: u64) -> Box<dyn Stream> {
        Box::new(MemoryStream {
            desk: Arc::clone(&self.desk),
            name: StreamName {
                topic: topic.into(),
                partition: None,
            },
            term,
            place: Mutex::default(),
            seen: Mutex::new(Hold::Ours),
        })
    }
}

impl Subscription for MemorySubscription {
    fn next(&self) -> Boxed<'_, Happening> {
        Box::pin(async {
            let mut changes = self.desk.cluster.moves();
            loop {
                if let Some(happening) = self.look() {
                    return happening;
                }
                self.desk.wait(&mut changes).await;
            }
        })
    }

    fn close(&self, _: Duration) -> Boxed<'_, ()> {
        Box::pin(async {
            self.desk
                .cluster
                .group(&self.desk.group, |group| group.leave(self.member));
            self.desk.cluster.tell();
        })
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        self.desk
            .cluster
            .group(&self.desk.group, |group| group.leave(self.member));
        self.desk.cluster.tell();
    }
}

// === impl Desk ===

impl Desk {
    /// Waits until something is put, shared out, or over.
    async fn wait(&self, changes: &mut tokio::sync::watch::Receiver<u64>) {
        let end = self.cluster.group(&self.group, |group| group.next_end());
        let over = async {
            match end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = changes.changed() => {}
            () = over => {}
        }
    }
}

// === impl MemoryStream ===

impl MemoryStream {
    fn hold(&self) -> Hold {
        let claim = self.claim();
        self.desk
            .cluster
            .group(&self.desk.group, |group| group.hold(claim, now()))
    }

    fn claim(&self) -> Claim<'_> {
        Claim {
            topic: &self.name.topic,
            term: self.term,
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn started(&self, from: Begin) -> Result<i64, StreamError> {
        if self.hold() == Hold::Lost {
            return Err(StreamError::Lost);
        }
        let high = self.desk.cluster.end(&self.name.topic);
        let end = i64::try_from(high).unwrap_or(i64::MAX);
        let offset = match from {
            Begin::Start(Start::Earliest | Start::At(_)) => 0,
            Begin::Start(Start::Latest) => end,
            Begin::Offset(offset) if offset < 0 || offset > end => return Err(self.lost(offset, end)),
            Begin::Offset(offset) => offset,
        };
        let mut place = self.place();
        place.next = usize::try_from(offset).ok();
        place.mark = offset;
        Ok(offset)
    }

    fn lost(&self, offset: i64, end: i64) -> StreamError {
        let (name, consumer) = (&self.name, &self.desk.consumer);
        StreamError::Incident(Incident {
            kind: "offsets_lost",
            destination: [name.to_string()].into_iter().collect(),
            from: offset.to_string(),
            to: end.to_string(),
            sentence: format!(
                "{name} should go on at {offset} and ends at {end}; go on there: `twinbox accept {consumer} offsets_lost`"
            ),
            go_on: Some(end),
        })
    }

    /// What is there, as far as there is room; none when nothing is.
    fn page(&self, room: Room) -> Option<Page> {
        let mut place = self.place();
        let next = place.next.filter(|_| !self.desk.cluster.is_down())?;
        let most = room.messages.max(1);
        let records = self.desk.cluster.slice(&self.name.topic, next, most + 1);
        let (mut page, mut bytes) = (Page::default(), 0);
        for (index, record) in records.iter().enumerate() {
            let message = self.read(next + index, record);
            bytes += message.cost();
            if index == most || bytes > room.bytes && index > 0 {
                page.more = true;
                break;
            }
            page.messages.push(message);
        }
        place.next = Some(next + page.messages.len());
        (!page.messages.is_empty()).then_some(page)
    }

    fn read(&self, offset: usize, record: &Record) -> crate::message::Message {
        self.desk.reader.read(&Received {
            topic: &self.name.topic,
            partition: None,
            offset: i64::try_from(offset).unwrap_or(i64::MAX),
            key: record.key.as_deref(),
            value: record.value.clone(),
            headers: record.headers.iter().map(|(name, value)| (&**name, &**value)).collect(),
            stored_at: None,
            flaw: None,
        })
    }
}

impl Stream for MemoryStream {
    fn name(&self) -> &StreamName {
        &self.name
    }

    fn begin(&self, from: Begin) -> Boxed<'_, Result<i64, StreamError>> {
        Box::pin(async move { self.started(from) })
    }

    fn next(&self, room: Room) -> Boxed<'_, Result<Page, StreamError>> {
        Box::pin(async move {
            let mut changes = self.desk.cluster.moves();
            loop {
                if self.hold() == Hold::Lost {
                    return Err(StreamError::Lost);
                }
                if let Some(page) = self.page(room) {
                    return Ok(page);
                }
                self.desk.wait(&mut changes).await;
            }
        })
    }

    fn settle(&self, mark: i64) {
        let mut place = self.place();
        let read = place.next.and_then(|next| i64::try_from(next).ok()).unwrap_or(0);
        place.mark = place.mark.max(mark.min(read));
        let (claim, mark) = (self.claim(), place.mark);
        self.desk
            .cluster
            .group(&self.desk.group, |group| group.commit(claim, mark, now()));
    }

    fn fate(&self) -> Fate {
        let hold = self.hold();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = hold;
        match hold {
            Hold::Ours => Fate::Ours,
            Hold::Revoked(until) => Fate::Revoked(until.saturating_duration_since(now())),
            Hold::Lost => Fate::Lost,
        }
    }

    fn changed(&self) -> Boxed<'_, ()> {
        Box::pin(async {
            let mut changes = self.desk.cluster.moves();
            loop {
                let hold = self.hold();
                if std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), hold) != hold {
                    return;
                }
                self.desk.wait(&mut changes).await;
            }
        })
    }

    fn lag(&self) -> Lag {
        let end = self.desk.cluster.end(&self.name.topic) as u64;
        Lag {
            messages: end.saturating_sub(self.place().mark.unsigned_abs()),
            oldest: None,
        }
    }

    fn release(self: Box<Self>, _: Duration) -> Boxed<'static, ()> {
        // The mark was told when it was settled; dropping says the rest.
        Box::pin(std::future::ready(()))
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        let claim = self.claim();
        self.desk.cluster.group(&self.desk.group, |group| group.release(claim));
        self.desk.cluster.tell();
    }
}
