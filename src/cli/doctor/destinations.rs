//! Where a relay writes to: what its route says, what its waiting rows resolve to, and what it remembers.
//!
//! Promises: a bounded number of destinations, and it is told when there are more.

use std::sync::Arc;

use crate::app::assemble::Configured;
use crate::config::{SourceConfig, Start};
use crate::contract::{Broker, Finding, Grade};
use crate::delivery::{Destination, Route, Router};
use crate::postgres::preflight::{self, Waiting};
use crate::postgres::{Connector, Schema};

/// Destinations that are looked at.
const DESTINATIONS_MAX: usize = 100;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    /// Of waiting rows, or of all rows where the route has no placeholder.
    needed: Vec<Destination>,
    /// Published to before, and of no row that waits.
    remembered: Vec<Destination>,
    /// What there is to say about the rows themselves.
    pub(super) told: Vec<Finding>,
}

// === impl Destinations ===

impl Destinations {
    pub(super) async fn of(configured: &Configured<'_>, route: Route, place: (&Connector, &Schema)) -> Self {
        if let Some(constant) = route.constant() {
            return Self {
                needed: vec![constant],
                ..Self::default()
            };
        }
        let SourceConfig::Cursor(cursor) = &configured.relay.from;
        let relay = (configured.name, cursor.start == Start::Latest);
        match preflight::waiting(place.0, place.1, relay).await {
            Ok(waiting) => Self::resolve(&waiting, Router::new(route)),
            Err(error) => Self {
                told: vec![sample(
                    Grade::Skip,
                    format!("where waiting rows go could not be asked: {error}"),
                )],
                ..Self::default()
            },
        }
    }

    fn resolve(waiting: &Waiting, mut router: Router) -> Self {
        let mut found = Self::default();
        for message in &waiting.messages {
            match router.address(message) {
                Ok(address) if found.needed.contains(&address.destination) => {}
                Ok(address) => found.needed.push(address.destination),
                Err(failure) => found.told.push(Finding {
                    fix: "mend the writer, or change `route`; until then such rows are rejected".to_owned(),
                    ..sample(
                        Grade::Warn,
                        format!(
                            "rows ({}, {}) go nowhere: {failure}",
                            message.aggregate_type, message.kind
                        ),
                    )
                }),
            }
        }
        let others = waiting.remembered.iter();
        found.remembered = others.filter(|other| !found.needed.contains(other)).cloned().collect();
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
        found
    }

    /// What the broker says of them. Without one that is only remembered no row waits: that is no error.
    pub(super) async fn findings(self, broker: &Arc<dyn Broker>) -> Vec<Finding> {
        let mut findings = broker.findings(self.needed).await;
        if self.remembered.is_empty() {
            return findings;
        }
        let known: Vec<&str> = findings.iter().map(|finding| finding.observed.as_str()).collect();
        let mut more = broker.findings(self.remembered).await;
        more.retain(|finding| !known.contains(&finding.observed.as_str()));
        for finding in more.iter_mut().filter(|finding| finding.grade == Grade::Fail) {
            finding.grade = Grade::Warn;
            finding.observed = format!("{} (published to before; no row waits for it)", finding.observed);
        }
        findings.append(&mut more);
        findings
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
    use crate::message::{Body, Content, ContentType, Headers, Message, Position};

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
        })
    }

    fn resolve(template: &str, messages: Vec<Message>, remembered: &[&str]) -> Destinations {
        let parse = |text| Template::parse(text, TemplateUse::Route).unwrap();
        let route = Route::new(vec![parse(template)], parse("{aggregateid}"), Vec::new());
        let remembered = remembered.iter().map(|name| std::iter::once(*name).collect()).collect();
        Destinations::resolve(&Waiting { remembered, messages }, Router::new(route))
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
