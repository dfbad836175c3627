//! Where a relay writes to: what its route says, what its waiting rows resolve to, and what it remembers.
//!
//! Promises: a bounded number of destinations, and it is told when there are more.

use std::collections::HashSet;
use std::sync::Arc;

use crate::app::assemble::Configured;
use crate::config::{SourceConfig, Start};
use crate::contract::{Broker, Finding, Grade};
use crate::delivery::{Destination, Failure, Route, Router};
use crate::message::Message;
use crate::postgres::preflight::{self, Waiting};
use crate::postgres::{Connector, Schema};

/// Destinations that are looked at.
const DESTINATIONS_MAX: usize = 100;

/// A relay's route, and that of its dead letters, if it has any.
pub(super) type Routes = (Route, Option<Route>);

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    /// Of waiting rows, or of all rows where the route has no placeholder.
    needed: Vec<Destination>,
    /// Of their dead letters.
    dead: Vec<Destination>,
    /// Published to before, and of no row that waits.
    remembered: Vec<Destination>,
    /// Of dead letters of those.
    dead_remembered: Vec<Destination>,
    /// What there is to say about the rows themselves.
    pub(super) told: Vec<Finding>,
}

// === impl Destinations ===

impl Destinations {
    pub(super) async fn of(configured: &Configured<'_>, routes: Routes, place: (&Connector, &Schema)) -> Self {
        let (route, dead) = &routes;
        // Where the row alone decides about dead letters, the rows are asked.
        if let Some(constant) = route.constant("")
            && let Some(dead) = dead.as_ref().map_or(Some(Vec::new()), |dead| {
                dead.constant(&constant.to_string()).map(|dead| vec![dead])
            })
        {
            return Self {
                needed: vec![constant],
                dead,
                ..Self::default()
            };
        }
        let SourceConfig::Cursor(cursor) = &configured.relay.from;
        let relay = (configured.name, cursor.start == Start::Latest);
        match preflight::waiting(place.0, place.1, relay).await {
            Ok(waiting) => Self::resolve(&waiting, routes),
            Err(error) => Self {
                told: vec![sample(
                    Grade::Skip,
                    format!("where waiting rows go could not be asked: {error}"),
                )],
                ..Self::default()
            },
        }
    }

    fn resolve(waiting: &Waiting, (route, dead): Routes) -> Self {
        let mut found = Self::default();
        found.needed.extend(route.constant(""));
        let (mut router, mut dead_router) = (Router::new(route), dead.clone().map(Router::new));
        for message in &waiting.messages {
            let routed = router.address(message).and_then(|address| {
                let topic = address.destination.to_string();
                note(&mut found.needed, address.destination);
                if let Some(dead) = &mut dead_router {
                    note(&mut found.dead, dead.address_from(message, &topic)?.destination);
                }
                Ok(())
            });
            if let Err(failure) = routed {
                found.told.push(nowhere(message, &failure));
            }
        }
        let others = waiting.remembered.iter();
        found.remembered = others.filter(|other| !found.needed.contains(other)).cloned().collect();
        found.remember_dead(dead.as_ref());
        let (needed, all) = (found.needed.len(), found.needed.len() + found.remembered.len());
        found.told.push(sample(
            Grade::Ok,
            format!(
                "waiting rows go to {needed} destinations, {} more are remembered",
                all - needed
            ),
        ));
        if all > DESTINATIONS_MAX {
            let observed = format!(
                "{} destinations were not looked at: there are {all}",
                all - DESTINATIONS_MAX
            );
            found.told.push(sample(Grade::Skip, observed));
            found.needed.truncate(DESTINATIONS_MAX);
            found.remembered.truncate(DESTINATIONS_MAX - found.needed.len());
        }
        found.dead.truncate(DESTINATIONS_MAX);
        found.dead_remembered.truncate(DESTINATIONS_MAX - found.dead.len());
        found
    }

    /// Dead letters of what is only remembered, where no row decides about them. Dead letters that were published are
    /// remembered too, and have none of their own.
    fn remember_dead(&mut self, dead: Option<&Route>) {
        let of = |topic: &Destination| dead.and_then(|dead| dead.constant(&topic.to_string()));
        let all = self.needed.iter().chain(&self.remembered);
        let every: HashSet<Destination> = all.filter_map(of).chain(self.dead.iter().cloned()).collect();
        for topic in self.remembered.iter().filter(|topic| !every.contains(topic)) {
            let looked_at = |dead: &Destination| {
                self.dead.contains(dead) || self.needed.contains(dead) || self.remembered.contains(dead)
            };
            if let Some(dead) = of(topic).filter(|dead| !looked_at(dead)) {
                note(&mut self.dead_remembered, dead);
            }
        }
        self.dead.retain(|dead| !self.needed.contains(dead));
        self.remembered.retain(|other| !self.dead.contains(other));
    }

    /// What the broker says of them. Without one that is only remembered no row waits: that is no error.
    pub(super) async fn findings(self, broker: &Arc<dyn Broker>) -> Vec<Finding> {
        let mut findings = broker.findings(self.needed).await;
        let others = [
            (self.dead, "dead letters go there", false),
            (self.remembered, "published to before; no row waits for it", true),
            (self.dead_remembered, "dead letters go there; no row waits for it", true),
        ];
        for (destinations, why, only_remembered) in others {
            if destinations.is_empty() {
                continue;
            }
            let mut more = broker.findings(destinations).await;
            more.retain(|finding| findings.iter().all(|known| known.observed != finding.observed));
            for finding in more.iter_mut().filter(|finding| finding.grade == Grade::Fail) {
                if only_remembered {
                    finding.grade = Grade::Warn;
                }
                finding.observed = format!("{} ({why})", finding.observed);
            }
            findings.append(&mut more);
        }
        findings
    }
}

/// Keeps one of each.
fn note(known: &mut Vec<Destination>, met: Destination) {
    if !known.contains(&met) {
        known.push(met);
    }
}

fn nowhere(message: &Message, failure: &Failure) -> Finding {
    let (aggregate_type, kind) = (&message.aggregate_type, &message.kind);
    Finding {
        fix: "mend the writer, or change `route` or `dead_letter`; until then such rows are rejected, or parked"
            .to_owned(),
        ..sample(
            Grade::Warn,
            format!("rows ({aggregate_type}, {kind}) go nowhere: {failure}"),
        )
    }
}

fn sample(grade: Grade, observed: String) -> Finding {
    Finding {
        id: "PG-SAMPLE",
        grade,
        observed,
        expected: if grade == Grade::Ok {
            ""
        } else {
            "a destination for every row"
        }
        .to_owned(),
        fix: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Template, TemplateUse};
    use crate::message::{Body, Content, ContentType, Headers, Position};

    fn message(aggregate_type: &str, headers: &[(&str, &str)]) -> Message {
        let pairs = headers
            .iter()
            .map(|(name, value)| (Box::from(*name), Box::from(*value)));
        Message::from(Content {
            position: Position::new(0, 0, 1),
            id: uuid::Uuid::nil(),
            aggregate_type: aggregate_type.into(),
            key: None,
            kind: "created".into(),
            body: Body::Null,
            content_type: ContentType::Json,
            headers: pairs.collect::<Headers>(),
            traceparent: None,
            occurred_at: jiff::Timestamp::UNIX_EPOCH,
            replay: None,
            origin: None,
        })
    }

    fn route(template: &str, used: TemplateUse) -> Route {
        let parse = |text| Template::parse(text, used).unwrap();
        Route::new(vec![parse(template)], parse("{aggregateid}"), Vec::new())
    }

    fn resolve(template: &str, messages: Vec<Message>, remembered: &[&str]) -> Destinations {
        let route = route(template, TemplateUse::Route);
        let remembered = remembered.iter().map(|name| std::iter::once(*name).collect()).collect();
        Destinations::resolve(&Waiting { remembered, messages }, (route, None))
    }

    #[test]
    fn dead_letters_of_each_destination_are_looked_at_once_and_have_none_of_their_own() {
        let names = |list: &[Destination]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let messages = vec![message("order", &[]), message("order", &[]), message("user", &[])];
        let known = [
            "old.events",
            "old.events.dlq",
            "order.events",
            "order.events.dlq",
            "gone.events",
        ];
        let remembered = known.iter().map(|name| std::iter::once(*name).collect()).collect();
        let routes = (
            route("{aggregatetype}.events", TemplateUse::Route),
            Some(route("{topic}.dlq", TemplateUse::DeadLetter)),
        );
        let found = Destinations::resolve(&Waiting { remembered, messages }, routes);
        assert_eq!(names(&found.needed), ["order.events", "user.events"]);
        assert_eq!(names(&found.dead), ["order.events.dlq", "user.events.dlq"]);
        assert_eq!(
            names(&found.remembered),
            ["old.events", "old.events.dlq", "gone.events"]
        );
        assert_eq!(names(&found.dead_remembered), ["gone.events.dlq"]);
    }

    #[test]
    fn each_kind_of_row_is_resolved_once_and_what_waits_is_not_only_remembered() {
        let messages = vec![message("order", &[]), message("order", &[]), message("user", &[])];
        let found = resolve("{aggregatetype}.events", messages, &["order.events", "old.events"]);
        assert_eq!((found.needed.len(), found.remembered.len()), (2, 1));
        assert_eq!(found.remembered[0].parts(), [Box::from("old.events")]);
    }

    #[test]
    fn a_row_that_goes_nowhere_is_told() {
        let messages = vec![message("order", &[("tenant", "acme")]), message("user", &[])];
        let found = resolve("{header:tenant}.events", messages, &[]);
        assert_eq!(found.needed.len(), 1);
        let warned: Vec<_> = found.told.iter().filter(|told| told.grade == Grade::Warn).collect();
        assert_eq!(warned.len(), 1);
        assert!(warned[0].observed.contains("user") && warned[0].observed.contains("{header:tenant}"));
    }

    #[test]
    fn more_than_can_be_looked_at_are_told() {
        let messages = (0..150).map(|number| message(&format!("t{number}"), &[])).collect();
        let found = resolve("{aggregatetype}", messages, &["old"]);
        assert_eq!((found.needed.len(), found.remembered.len()), (DESTINATIONS_MAX, 0));
        assert!(
            found
                .told
                .iter()
                .any(|told| told.grade == Grade::Skip && told.observed.starts_with("51 "))
        );
    }
}
