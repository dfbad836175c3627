//! `twinbox drain`: ask a running process to drain, from a pod's hook without a shell.

use std::time::Duration;

use clap::Args;
use reqwest::{Method, StatusCode};

use super::root::Stage;
use super::{Exit, Stop, port};

/// Which process, and how long to wait.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The process's admin port
    #[arg(long, default_value = port::URL_DEFAULT)]
    pub url: String,
    /// Return when it is drained, at most after this long
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "25s", value_parser = humantime::parse_duration)]
    pub wait: Option<Duration>,
}

/// Asks, and waits if it is to.
///
/// # Errors
/// When nobody answers, the process refuses, or the wait is over before the drain.
pub async fn run(arguments: Arguments, stage: &mut Stage) -> Result<Exit, Stop> {
    let Arguments { url, wait } = arguments;
    let token = stage.admin_token();
    let asked = port::ask((&url, "/drain"), Method::POST, (token, Duration::ZERO)).await?;
    if asked.status != StatusCode::ACCEPTED {
        return Err(asked.refusal(&url));
    }
    let Some(wait) = wait else {
        stage.console.note("draining")?;
        return Ok(Exit::Ok);
    };
    let path = format!("/drain?wait={}ms", wait.as_millis());
    let drained = port::ask((&url, &path), Method::GET, (None, wait)).await?;
    match drained.status {
        StatusCode::OK => {
            stage.console.note("drained")?;
            Ok(Exit::Ok)
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            let sentence = format!("not drained after {}", humantime::format_duration(wait));
            Err(Stop::failure(sentence))
        }
        _ => Err(drained.refusal(&url)),
    }
}
