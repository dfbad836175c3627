//! `twinbox doctor`: is the world right, with what to paste where it is not.
//!
//! Promises: it changes nothing; errors end with 4 (warnings too under `--strict`), a broken configuration with 3.

mod consumers;
mod destinations;

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use self::destinations::Destinations;
use super::relay::Chosen;
use super::root::Stage;
use super::{Exit, Stop, database};
use crate::app::assemble::Configured;
use crate::app::consuming::Consuming;
use crate::config::{OnReject, Retention, Root};
use crate::contract::{Finding, Grade};
use crate::operate::doctor::{Filter, Part, Tally};
use crate::postgres::TableName;
use crate::postgres::preflight::{self, Wanted};

/// How often `--wait` looks again.
const LOOK: Duration = Duration::from_secs(1);

/// What to look at.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Relays and consumers to look at; all when none is named
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Only ids that begin so: pg, kafka
    #[arg(long, value_delimiter = ',', value_name = "PREFIX")]
    pub only: Vec<String>,
    /// Not this id; repeatable
    #[arg(long, value_name = "ID")]
    pub skip: Vec<String>,
    /// Warnings count as errors
    #[arg(long)]
    pub strict: bool,
    /// Look again until it is right, at most this long
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub wait: Option<Duration>,
}

/// Looks and tells.
///
/// # Errors
/// When the configuration cannot be used.
pub async fn run(arguments: Arguments, stage: &mut Stage) -> Result<Exit, Stop> {
    let Arguments {
        names,
        only,
        skip,
        strict,
        wait,
    } = arguments;
    let root = stage.load()?.root;
    let chosen = super::relay::all(&root, &names)?;
    let filter = Filter { only, skip, strict };
    let look = async || Ok::<_, Stop>(filter.apply(parts(stage, &root, &chosen).await?));
    let mut found = look().await?;
    if let Some(wait) = wait {
        let again = async {
            while !filter.passes(Tally::of(&found)) {
                tokio::time::sleep(LOOK).await;
                found = look().await?;
            }
            Ok::<(), Stop>(())
        };
        // Out of time: what was found last is what is told.
        if let Ok(done) = tokio::time::timeout(wait, again).await {
            done?;
        }
    }
    told(stage, &filter, &found)
}

async fn parts(stage: &Stage, root: &Root, chosen: &Chosen<'_>) -> Result<Vec<Part>, Stop> {
    let mut parts = Vec::new();
    for (name, relay) in &chosen.relays {
        let database = root.database_of(relay);
        let connector = stage.connector(database, "doctor");
        let table = TableName::parse(&relay.table(database));
        let table = table.map_err(|error| Stop::configuration(format!("relays.{name}.from.cursor.table: {error}")))?;
        let wanted = Wanted {
            schema: database::schema(database)?,
            table,
            partitions: match relay.retention {
                Retention::Partitions(duration) => Some(duration.get()),
                _ => None,
            },
        };
        let configured = Configured {
            name,
            root,
            relay,
            environment: &stage.env,
        };
        let broker = configured.broker().map_err(Stop::configuration)?;
        let route = relay.route();
        let route = route.map_err(|error| Stop::configuration(format!("relays.{name}.route: {error}")))?;
        let dead = (relay.on_reject == OnReject::DeadLetter).then(|| relay.dead_letter_route());
        let dead = dead.transpose();
        let dead = dead.map_err(|error| Stop::configuration(format!("relays.{name}.dead_letter: {error}")))?;
        let mut destinations = Destinations::of(&configured, (route, dead), (&connector, &wanted.schema)).await;
        let mut findings = preflight::findings(&connector, &wanted).await;
        findings.append(&mut destinations.told);
        parts.push(Part {
            about: format!("database of {name}"),
            findings,
        });
        parts.push(Part {
            about: format!("broker of {name} ({})", relay.to.backend().config.name),
            findings: destinations.findings(&broker).await,
        });
    }
    for (name, consumer) in &chosen.consumers {
        let consuming = Consuming {
            name,
            root,
            consumer,
            environment: &stage.env,
        };
        parts.append(&mut consumers::parts(stage, &consuming).await?);
    }
    Ok(parts)
}

fn told(stage: &mut Stage, filter: &Filter, parts: &[Part]) -> Result<Exit, Stop> {
    let tally = Tally::of(parts);
    let passes = filter.passes(tally);
    if stage.console.json() {
        let all = parts
            .iter()
            .map(|part| json!({ "about": part.about, "findings": listed(&part.findings) }));
        let counts = json!({ "ok": tally.ok, "skip": tally.skip, "warn": tally.warn, "fail": tally.fail });
        let document = json!({ "passes": passes, "counts": counts, "parts": all.collect::<Vec<Value>>() });
        stage.console.document(&document)?;
    } else {
        for part in parts {
            shown(stage, part)?;
        }
        let Tally { ok, skip, warn, fail } = tally;
        stage
            .console
            .line(&format!("{ok} ok, {warn} to look at, {fail} wrong, {skip} not asked"))?;
    }
    Ok(if passes { Exit::Ok } else { Exit::Findings })
}

fn shown(stage: &mut Stage, part: &Part) -> Result<(), Stop> {
    stage.console.line(&part.about)?;
    for finding in &part.findings {
        let mark = match finding.grade {
            Grade::Ok => '√',
            Grade::Skip => '-',
            Grade::Warn => '‼',
            Grade::Fail => '×',
        };
        stage
            .console
            .line(&format!("  {mark} {:<14} {}", finding.id, finding.observed))?;
        for (name, text) in [("expected", &finding.expected), ("fix", &finding.fix)] {
            for (index, line) in text.lines().enumerate() {
                let name = if index == 0 { name } else { "" };
                stage.console.line(&format!("      {name:<8} {line}"))?;
            }
        }
    }
    stage.console.line("")?;
    Ok(())
}

fn listed(findings: &[Finding]) -> Vec<Value> {
    let grade = |grade| match grade {
        Grade::Ok => "ok",
        Grade::Skip => "skip",
        Grade::Warn => "warn",
        Grade::Fail => "fail",
    };
    let all = findings.iter().map(|finding| {
        json!({
            "id": finding.id, "grade": grade(finding.grade), "observed": finding.observed,
            "expected": finding.expected, "fix": finding.fix,
        })
    });
    all.collect()
}
