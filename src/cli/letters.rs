//! `twinbox letters`: the stored messages of blocked keys.
//!
//! Promises: a change is previewed with its counts and needs `--yes` or an answer; `--dry-run` moves no state; nothing
//! that matches is exit 1; what was changed has an audit row with `--reason`.

mod change;
mod list;
mod show;

use clap::{Args, Subcommand};

use super::root::Stage;
use super::{Exit, Stop, database};
use crate::app::desk::PostgresDesk;
use crate::operate::letters::Selection;

/// What to do about letters.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List open and dead letters
    List(list::Arguments),
    /// Show one letter with everything known about why
    Show(show::Arguments),
    /// Give letters back, in order
    Release(change::Release),
    /// Drop letters, with a record
    Discard(change::Discard),
}

/// Which letters. All that is given must hold.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// By number; repeatable
    #[arg(long, value_name = "ID")]
    pub id: Vec<i64>,
    /// By ordering key
    #[arg(long)]
    pub key: Option<String>,
    /// By relay or consumer
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// By error: the fingerprint of `letters list --group-by error`
    #[arg(long, value_name = "FINGERPRINT")]
    pub error: Option<String>,
    /// All of them
    #[arg(long)]
    pub all: bool,
}

/// Does what the arguments say.
///
/// # Errors
/// When the database is away or refuses, or the selection names or matches nothing.
pub async fn run(verb: Verb, stage: &mut Stage) -> Result<Exit, Stop> {
    let owner = match &verb {
        Verb::List(list::Arguments { which, .. }) => which.owner.clone(),
        Verb::Show(_) => None,
        Verb::Release(change::Release { asked, .. }) | Verb::Discard(change::Discard { asked }) => {
            asked.which.owner.clone()
        }
    };
    let root = stage.load()?.root;
    let database = database::meant(&root, owner.as_deref())?;
    let connector = stage.connector(database, "letters");
    let desk = PostgresDesk::new(&connector, database::schema(database)?).map_err(Stop::failure)?;
    let console = &mut stage.console;
    match verb {
        Verb::List(arguments) => list::run(arguments, (&desk, console)).await,
        Verb::Show(arguments) => show::run(arguments, (&desk, console)).await,
        Verb::Release(arguments) => change::release(arguments, (&desk, console)).await,
        Verb::Discard(arguments) => change::discard(arguments, (&desk, console)).await,
    }
}

impl From<Which> for Selection {
    fn from(which: Which) -> Self {
        Self {
            ids: which.id,
            key: which.key,
            owner: which.owner,
            error: which.error,
            all: which.all,
        }
    }
}
