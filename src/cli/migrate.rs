//! `twinbox migrate`: make, print or compare the tables.
//!
//! Promises: `--print` and `--check` change nothing; `--check` ends with 1 when something is missing, so that a pipeline
//! can ask; any number of pods may migrate at once.

mod adopt;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::root::Stage;
use super::{Exit, Stop, database};
use crate::config::Root;
use crate::postgres::migrate::{self, MigrateError, Options, Payload, Report, Standing, Wake};
use crate::postgres::{Kind, Schema};

/// What to migrate, and whether to.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Instead of doing it.
    #[command(flatten)]
    pub instead: Instead,
    /// Type of the payload column, chosen once [default on a fresh schema: jsonb]
    #[arg(long, value_enum)]
    pub payload: Option<PayloadType>,
    /// Make the outbox of partitions that are dropped whole (`retention: partitions`), chosen once
    #[arg(long)]
    pub partitions: bool,
    /// Schema of our tables [default: database.schema]
    #[arg(long, value_name = "NAME")]
    pub schema: Option<String>,
    /// Also make the roles with their grants
    #[arg(long)]
    pub roles: bool,
    /// Leave out, or take out, the trigger that wakes sleeping relays
    #[arg(long)]
    pub no_wake: bool,
    /// Only this part
    #[arg(long, value_enum)]
    pub only: Option<Part>,
    /// Copy another table's rows.
    #[command(flatten)]
    pub adopt: adopt::Foreign,
}

/// What to do instead of migrating.
#[derive(Debug, Clone, Copy, Args)]
pub struct Instead {
    /// Print the SQL instead of running it
    #[arg(long, conflicts_with = "check")]
    pub print: bool,
    /// Compare only; exit 1 when something is missing
    #[arg(long)]
    pub check: bool,
}

/// Types of the payload column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PayloadType {
    /// Parsed once, stored in binary.
    Jsonb,
    /// The text as it was written.
    Json,
    /// Any bytes.
    Bytea,
    /// Any text.
    Text,
}

/// Parts of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// What relays need.
    Outbox,
    /// What consumers need.
    Inbox,
}

/// Does what the arguments say.
///
/// # Errors
/// When the database is away or refuses, or has something that this binary does not know.
pub async fn run(arguments: Arguments, stage: &mut Stage) -> Result<Exit, Stop> {
    let root = stage.load_without_database(arguments.instead.print && arguments.adopt.adopt.is_none())?;
    let options = options(&arguments, &root)?;
    if let Some(adoption) = arguments.adopt.adoption()? {
        return adopt::run((adoption, arguments.instead, options), &root, stage).await;
    }
    if arguments.instead.print {
        let text = migrate::print(&options);
        stage.console.out.write_all(text.as_bytes())?;
        return Ok(Exit::Ok);
    }
    let mut direct = stage.connector(&root.database, "migrate").direct().await?;
    let client = direct.client_mut();
    if arguments.instead.check {
        let standing = migrate::check(client, &options).await?;
        direct.close().await;
        return told(stage, &standing);
    }
    let report = migrate::apply(client, &options).await?;
    direct.close().await;
    applied(stage, &options.schema, &report)
}

fn options(arguments: &Arguments, root: &Root) -> Result<Options, Stop> {
    let schema = match &arguments.schema {
        None => database::schema(&root.database)?,
        Some(name) => Schema::new(name).map_err(|error| Stop::usage(format!("--schema: {error}")))?,
    };
    Ok(Options {
        only: arguments.only.map(migrate::Part::from),
        payload: arguments.payload.map(Payload::from),
        partitions: arguments.partitions,
        wake: !arguments.no_wake,
        roles: arguments.roles,
        ..Options::new(schema)
    })
}

fn told(stage: &mut Stage, standing: &Standing) -> Result<Exit, Stop> {
    let (state, missing) = match standing {
        Standing::Current => ("current", Vec::new()),
        Standing::Behind(steps) => ("behind", steps.iter().map(ToString::to_string).collect()),
        Standing::Newer {
            component,
            version,
            binary,
        } => (
            "newer",
            vec![format!("{component} {version:04} of {binary} is not known here")],
        ),
        Standing::Tampered { step, .. } => ("changed", vec![format!("{step} has other contents here")]),
        Standing::PayloadFixed { present, asked } => {
            let sentence = format!("the payload is {}, not {}", present.name(), asked.name());
            ("payload", vec![sentence])
        }
        Standing::Plain => (
            "plain",
            vec!["the outbox is a plain table, without partitions".to_owned()],
        ),
    };
    if stage.console.json() {
        stage
            .console
            .document(&json!({ "state": state, "differences": missing }))?;
    } else if missing.is_empty() {
        stage.console.line("current: nothing to do")?;
    } else {
        stage.console.line(&format!("{state}:"))?;
        for line in &missing {
            stage.console.line(&format!("  {line}"))?;
        }
    }
    Ok(if missing.is_empty() { Exit::Ok } else { Exit::Failure })
}

fn applied(stage: &mut Stage, schema: &Schema, report: &Report) -> Result<Exit, Stop> {
    let steps: Vec<String> = report.applied.iter().map(ToString::to_string).collect();
    let wake = match report.wake {
        Wake::Installed => "installed",
        Wake::Declined => "declined",
        Wake::Unsafe => "unsafe",
    };
    if stage.console.json() {
        let document = json!({ "schema": schema.name(), "applied": steps, "wake": wake, "roles": report.roles });
        stage.console.document(&document)?;
        return Ok(Exit::Ok);
    }
    for step in &steps {
        stage.console.line(&format!("applied {step}"))?;
    }
    if report.roles {
        stage.console.line("made roles and grants")?;
    }
    if report.wake == Wake::Unsafe {
        stage.console.note(
            "no wake trigger: max_prepared_transactions > 0 here, and a transaction that notified cannot be prepared; \
             relays poll",
        )?;
    }
    if steps.is_empty() {
        stage
            .console
            .line(&format!("schema {schema} is current: nothing to do"))?;
    }
    Ok(Exit::Ok)
}

impl From<MigrateError> for Stop {
    fn from(error: MigrateError) -> Self {
        let exit = match &error {
            MigrateError::Locked { .. } => Exit::Unreachable,
            MigrateError::Failed { failure, .. } if matches!(failure.kind, Kind::RetryNow | Kind::Transient) => {
                Exit::Unreachable
            }
            _ => Exit::Failure,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<PayloadType> for Payload {
    fn from(payload: PayloadType) -> Self {
        match payload {
            PayloadType::Jsonb => Self::Jsonb,
            PayloadType::Json => Self::Json,
            PayloadType::Bytea => Self::Bytea,
            PayloadType::Text => Self::Text,
        }
    }
}

impl From<Part> for migrate::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Outbox => Self::Outbox,
            Part::Inbox => Self::Inbox,
        }
    }
}

// === impl Stage ===

impl Stage {
    /// The configuration; with `offline` it may lack a database's URL, which is not asked for then.
    fn load_without_database(&mut self, offline: bool) -> Result<Root, Stop> {
        if offline {
            let variable = "DATABASE_URL".to_owned();
            self.env = self.env.clone().with(&variable, "postgres://nobody@localhost/nothing");
            self.global.input.set.push(("database.url.env".to_owned(), variable));
        }
        Ok(self.load()?.root)
    }
}
