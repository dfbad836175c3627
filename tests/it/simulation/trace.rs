//! Events and effects in one line each, for whoever replays a seed.

use twinbox::contract::{Next, Outbound, Receipt};
use twinbox::flow::{Effect, Event, LetterCall};

pub(super) fn event(event: &Event) -> String {
    match event {
        Event::Fetched(page) => {
            let places: Vec<_> = page
                .messages
                .iter()
                .map(|message| message.position.to_string())
                .collect();
            format!("Fetched {places:?} more={}", page.more)
        }
        Event::Answered(answers) => {
            let answers: Vec<_> = answers
                .iter()
                .map(|answer| match &answer.receipt {
                    Receipt::Failed(failure) => format!("{:x}: {}", answer.ticket.0, failure.kind.as_str()),
                    receipt => format!("{:x}: {receipt:?}", answer.ticket.0),
                })
                .collect();
            format!("Answered {answers:?}")
        }
        Event::Picked(due) => {
            let due: Vec<_> = due
                .iter()
                .map(|due| (due.lane.as_str().to_owned(), due.cause, due.attempts, due.letters.len()))
                .collect();
            format!("Picked {due:?}")
        }
        Event::Trusted(_) => "Trusted".to_owned(),
        other => format!("{other:?}"),
    }
}

pub(super) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Publish(batch) => format!("Publish {:?}", batch.iter().map(outbound).collect::<Vec<_>>()),
        Effect::Confirm(progress) => format!("Confirm {} {}", progress.read, places(&progress.rest)),
        Effect::Letters(LetterCall::Store(run)) => {
            let mut text = String::from("Store");
            for park in &run.parks {
                text += &format!(
                    " [park {} {:?} {:?} n={} {}]",
                    park.lane.as_str(),
                    park.cause,
                    park.due,
                    park.attempts,
                    places(&park.positions())
                );
            }
            for append in &run.appends {
                text += &format!(" [append {} {}]", append.lane.as_str(), places(&append.positions()));
            }
            format!("{text} read {} rest {}", run.progress.read, places(&run.progress.rest))
        }
        Effect::Letters(LetterCall::Close(runs)) => {
            let mut text = String::from("Close");
            for run in runs {
                let next = match &run.next {
                    Next::Now => "now".to_owned(),
                    Next::Rest {
                        cause, due, attempts, ..
                    } => format!("rest {cause:?} {due:?} n={attempts}"),
                    Next::Dead { letter, .. } => format!("dead {letter:?}"),
                };
                text += &format!(" [{} {:?} {next}]", run.lane.as_str(), run.delivered);
            }
            text
        }
        other => format!("{other:?}"),
    }
}

fn outbound(outbound: &Outbound) -> String {
    let destination = &outbound.address.destination;
    format!(
        "{:x}: {} to {destination}",
        outbound.ticket.0, outbound.message.position
    )
}

fn places(positions: &[twinbox::message::Position]) -> String {
    let places: Vec<_> = positions
        .iter()
        .map(|position| format!("{}.{}", position.major, position.minor))
        .collect();
    format!("({})", places.join(" "))
}
