//! Consumer groups of the memory broker: who has which topic, under which term, and what was committed.
//!
//! Promises: a topic has at most one owner; one that moves stays with its owner until that releases it or its time is over;
//! a term is never used twice, so that whoever lost a topic speaks of it no more, also after it came back.

use std::collections::BTreeMap;

use tokio::time::Instant;

/// Members that share topics.
#[derive(Debug, Default)]
pub(super) struct Group {
    members: BTreeMap<u64, Member>,
    owners: BTreeMap<String, Owner>,
    committed: BTreeMap<String, i64>,
    last: u64,
}

#[derive(Debug)]
struct Member {
    topics: Vec<String>,
    /// How long it may keep what is to move.
    patience: std::time::Duration,
}

#[derive(Debug)]
struct Owner {
    member: u64,
    term: u64,
    told: bool,
    released: bool,
    until: Option<Instant>,
}

/// Whose a topic is, for one who had it under a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    Ours,
    Revoked(Instant),
    Lost,
}

/// A topic and the term under which somebody has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    /// Its name.
    pub(super) topic: &'a str,
    /// Unique for ever.
    pub(super) term: u64,
}

// === impl Group ===

impl Group {
    /// A new member; answers its number.
    pub(super) fn join(&mut self, topics: Vec<String>, patience: std::time::Duration) -> u64 {
        let id = self.number();
        self.members.insert(id, Member { topics, patience });
        id
    }

    /// The member is gone, with everything it had.
    pub(super) fn leave(&mut self, member: u64) {
        self.members.remove(&member);
        self.owners.retain(|_, owner| owner.member != member);
    }

    /// Shares the topics out. Answers whether anything changed.
    pub(super) fn share(&mut self, now: Instant) -> bool {
        let overdue = |owner: &Owner| owner.until.is_some_and(|until| owner.released || until <= now);
        let before = self.owners.len();
        self.owners.retain(|_, owner| !overdue(owner));
        let mut changed = self.owners.len() != before;
        let topics: std::collections::BTreeSet<_> =
            self.members.values().flat_map(|member| member.topics.clone()).collect();
        let most = topics.len().div_ceil(self.members.len().max(1));
        let mut counts: BTreeMap<u64, usize> = self.members.keys().map(|member| (*member, 0)).collect();
        for topic in &topics {
            if let Some(owner) = self.owners.get_mut(topic) {
                let count = counts.entry(owner.member).or_default();
                if owner.until.is_none() && *count >= most {
                    let patience = self.members.get(&owner.member).map(|member| member.patience);
                    owner.until = Some(now + patience.unwrap_or_default());
                    changed = true;
                }
                *count += usize::from(owner.until.is_none());
            }
        }
        for topic in topics {
            let reads = |member: &u64| {
                self.members
                    .get(member)
                    .is_some_and(|member| member.topics.contains(&topic))
            };
            let least = counts
                .iter()
                .filter(|(member, _)| reads(member))
                .min_by_key(|(_, count)| **count);
            let Some(member) = least.map(|(member, _)| *member) else {
                continue;
            };
            if self.owners.contains_key(&topic) {
                continue;
            }
            *counts.entry(member).or_default() += 1;
            let term = self.number();
            let owner = Owner {
                member,
                term,
                told: false,
                released: false,
                until: None,
            };
            self.owners.insert(topic, owner);
            changed = true;
        }
        changed
    }

    /// What a member has and was not told, with terms.
    pub(super) fn news(&mut self, member: u64) -> Vec<(String, u64)> {
        let own = self
            .owners
            .iter_mut()
            .filter(|(_, owner)| owner.member == member && !owner.told);
        own.map(|(topic, owner)| {
            owner.told = true;
            (topic.clone(), owner.term)
        })
        .collect()
    }

    /// Whose it is.
    pub(super) fn hold(&self, claim: Claim<'_>, now: Instant) -> Hold {
        match self.owners.get(claim.topic).filter(|owner| owner.term == claim.term) {
            None => Hold::Lost,
            Some(owner) => match owner.until {
                None => Hold::Ours,
                Some(until) if until <= now => Hold::Lost,
                Some(until) => Hold::Revoked(until),
            },
        }
    }

    /// Nothing is done with it any more.
    pub(super) fn release(&mut self, claim: Claim<'_>) {
        if let Some(owner) = self
            .owners
            .get_mut(claim.topic)
            .filter(|owner| owner.term == claim.term)
        {
            owner.released = true;
        }
    }

    /// Keeps a mark of whoever has the topic; nobody else's.
    pub(super) fn commit(&mut self, claim: Claim<'_>, mark: i64, now: Instant) {
        if self.hold(claim, now) != Hold::Lost {
            self.committed.insert(claim.topic.to_owned(), mark);
        }
    }

    /// The mark of a topic.
    pub(super) fn committed(&self, topic: &str) -> Option<i64> {
        self.committed.get(topic).copied()
    }

    /// When something is over by itself.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.owners.values().filter_map(|owner| owner.until).min()
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}
