//! Opening: is this still the database in which the windows are valid, and what did the last holder leave.
//!
//! Promises: nothing is read before the identity was checked; a promoted standby goes on under a new position epoch and
//! is told; another cluster, another database and an old primary that came back stop the relay with what to type.
//!
//! # Why the next position epoch is max(stored + 1, timeline << 32)
//!
//! After an asynchronous failover the table rolls back, and the stored epoch with it: two histories would use the same
//! positions. The timeline does not roll back.

use tokio_postgres::Row;

use crate::contract::StoreError;
use crate::postgres::wake::Trigger;

/// Another cluster or database, or rows of one.
pub(in crate::postgres) const SYSTEM: &str = "system_changed";
/// Another timeline of the same cluster.
pub(in crate::postgres) const TIMELINE: &str = "timeline_changed";
/// Another route while letters are open.
pub(in crate::postgres) const ROUTE: &str = "route_changed";

/// What the server is, and what the relay's row says it was.
#[derive(Debug, Clone)]
pub(in crate::postgres) struct Identity {
    bound: Option<Place>,
    own: Place,
    pub(in crate::postgres) position_epoch: i64,
    pub(in crate::postgres) route: Option<String>,
    /// Whether letters are open.
    pub(in crate::postgres) letters: bool,
    /// Whether the outbox is made of partitions.
    pub(in crate::postgres) partitioned: bool,
    trigger: Option<Trigger>,
}

/// A database of a cluster at a point of its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::postgres) struct Place {
    pub(in crate::postgres) system_id: i64,
    pub(in crate::postgres) database: String,
    pub(in crate::postgres) timeline: i32,
}

/// What follows from an identity.
#[derive(Debug)]
pub(in crate::postgres) struct History {
    /// The relay has never been here.
    pub(in crate::postgres) first: bool,
    pub(in crate::postgres) position_epoch: i64,
    pub(in crate::postgres) told: Option<StoreError>,
}

// === impl Identity ===

impl Identity {
    /// From `identity.sql`.
    pub(in crate::postgres) fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let timeline = |text: &str| i32::from_str_radix(text, 16).unwrap_or(i32::MAX);
        let bound = match (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?) {
            (Some(system_id), Some(database), Some(timeline)) => Some(Place {
                system_id,
                database,
                timeline,
            }),
            _ => None,
        };
        let wake: i16 = row.try_get(5)?;
        let trigger = Trigger {
            class: row.try_get("class")?,
            number: i32::from(wake),
        };
        Ok(Self {
            bound,
            own: Place {
                system_id: row.try_get(6)?,
                database: row.try_get(7)?,
                timeline: timeline(row.try_get(8)?),
            },
            position_epoch: row.try_get(3)?,
            route: row.try_get(4)?,
            letters: row.try_get("letters")?,
            partitioned: row.try_get("partitioned")?,
            trigger: row.try_get::<_, bool>(9)?.then_some(trigger),
        })
    }

    pub(in crate::postgres) fn own(&self) -> &Place {
        &self.own
    }

    pub(in crate::postgres) fn trigger(&self) -> Option<Trigger> {
        self.trigger
    }

    /// Whether the relay may go on here, and under which position epoch.
    pub(in crate::postgres) fn history(&self, relay: &str) -> Result<History, StoreError> {
        let least = self.least_epoch();
        let Some(bound) = &self.bound else {
            return Ok(History {
                first: true,
                position_epoch: least.max(1),
                told: None,
            });
        };
        if (bound.system_id, &bound.database) != (self.own.system_id, &self.own.database) {
            return Err(self.moved(bound, relay));
        }
        if self.own.timeline < bound.timeline {
            return Err(self.went_back(bound, relay));
        }
        let promoted = self.own.timeline > bound.timeline;
        Ok(History {
            first: false,
            position_epoch: if promoted {
                least.max(self.position_epoch + 1)
            } else {
                self.position_epoch
            },
            told: promoted.then(|| self.promoted(bound, relay)),
        })
    }

    /// What an operator accepted: to go on here, whatever timeline it is.
    pub(in crate::postgres) fn history_accepted(&self) -> History {
        History {
            first: false,
            position_epoch: self.least_epoch().max(self.position_epoch + 1),
            told: None,
        }
    }

    fn least_epoch(&self) -> i64 {
        i64::from(self.own.timeline) << 32
    }

    fn moved(&self, bound: &Place, relay: &str) -> StoreError {
        let place = |place: &Place| format!("database {} of system {}", place.database, place.system_id);
        let (from, to) = (place(bound), place(&self.own));
        let sentence = format!(
            "relay {relay} was in {from} and finds itself in {to}, where its windows say nothing: check `database.url`; if \
             this is that database after a restore or an upgrade, stop the producers and type `twinbox accept {relay} \
             system_changed`"
        );
        incident(SYSTEM, (from, to), sentence)
    }

    fn went_back(&self, bound: &Place, relay: &str) -> StoreError {
        let (from, to) = (bound.timeline, self.own.timeline);
        let sentence = format!(
            "relay {relay} has seen timeline {from} of this database and now finds timeline {to}: an old primary has come \
             back. Point `database.url` to the present primary; if this one is meant, type `twinbox accept {relay} \
             timeline_changed`"
        );
        incident(TIMELINE, (timeline_text(from), timeline_text(to)), sentence)
    }

    fn promoted(&self, bound: &Place, relay: &str) -> StoreError {
        let (from, to) = (bound.timeline, self.own.timeline);
        let sentence = format!(
            "the database of relay {relay} went from timeline {from} to {to}: a standby was promoted. What was published and \
             had not reached that standby is not in the table any more; the relay goes on under a new position epoch"
        );
        incident(TIMELINE, (timeline_text(from), timeline_text(to)), sentence)
    }
}

/// A transaction number that this cluster cannot have given.
pub(in crate::postgres) fn foreign(relay: &str) -> StoreError {
    let sentence = format!(
        "the outbox holds a row whose transaction has not happened here: it was restored from another cluster, or somebody \
         supplied the column xid. Relay {relay} would repeat such rows for ever; stop the producers and type `twinbox \
         accept {relay} system_changed`"
    );
    incident(SYSTEM, (String::new(), String::new()), sentence)
}

/// Windows that somebody deleted.
pub(in crate::postgres) fn floorless(relay: &str) -> StoreError {
    let sentence = format!(
        "the rows of relay {relay} in relay_window are gone, so nobody knows what was published: type `twinbox forget \
         {relay}` and let it start again, or `twinbox accept {relay} system_changed` to send everything that is still there"
    );
    incident(SYSTEM, (String::new(), String::new()), sentence)
}

/// Another route would let live messages overtake stored ones (S36).
pub(in crate::postgres) fn route_changed(relay: &str, stored: &str, configured: &str) -> StoreError {
    let sentence = format!(
        "the route of relay {relay} has changed while letters are open, so that later messages of their keys would \
         overtake them: release or discard them first (`twinbox letters list --owner {relay}`), go back to the old route, \
         or type `twinbox accept {relay} route_changed`"
    );
    incident(ROUTE, (stored.to_owned(), configured.to_owned()), sentence)
}

fn timeline_text(timeline: i32) -> String {
    format!("timeline {timeline}")
}

fn incident(kind: &'static str, (from, to): (String, String), sentence: String) -> StoreError {
    StoreError::Incident {
        kind,
        from,
        to,
        sentence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(system_id: i64, database: &str, timeline: i32) -> Place {
        Place {
            system_id,
            database: database.to_owned(),
            timeline,
        }
    }

    fn identity(bound: Option<Place>, own: Place) -> Identity {
        Identity {
            bound,
            own,
            position_epoch: (2 << 32) + 5,
            route: None,
            letters: false,
            partitioned: false,
            trigger: None,
        }
    }

    fn kind(refused: Result<History, StoreError>) -> (&'static str, String) {
        match refused {
            Err(StoreError::Incident { kind, sentence, .. }) => (kind, sentence),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_first_start_takes_its_epoch_from_the_timeline() {
        let history = identity(None, place(1, "shop", 3)).history("orders").expect("goes on");
        assert!(history.first);
        assert_eq!(history.position_epoch, 3 << 32);
    }

    #[test]
    fn a_promotion_goes_on_under_a_higher_epoch_and_is_told() {
        for (timeline, epoch) in [(3, 3 << 32), (2, (2 << 32) + 5)] {
            let here = identity(Some(place(1, "shop", 2)), place(1, "shop", timeline));
            let history = here.history("orders").expect("goes on");
            assert_eq!((history.first, history.position_epoch), (false, epoch));
            assert_eq!(history.told.is_some(), timeline == 3);
        }
        let mut here = identity(Some(place(1, "shop", 1)), place(1, "shop", 2));
        here.position_epoch = (7 << 32) + 1;
        assert_eq!(here.history("orders").expect("goes on").position_epoch, (7 << 32) + 2);
    }

    #[test]
    fn another_world_halts_with_what_to_type() {
        for own in [place(9, "shop", 2), place(1, "copy", 2)] {
            let (kind, sentence) = kind(identity(Some(place(1, "shop", 2)), own).history("orders"));
            assert_eq!(kind, "system_changed");
            assert!(
                sentence.contains("`twinbox accept orders system_changed`"),
                "{sentence}"
            );
        }
        let (kind, sentence) = kind(identity(Some(place(1, "shop", 2)), place(1, "shop", 1)).history("orders"));
        assert_eq!(kind, "timeline_changed");
        assert!(
            sentence.contains("`twinbox accept orders timeline_changed`"),
            "{sentence}"
        );
    }
}
