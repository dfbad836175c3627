//! How verbs talk to a running process: its admin port.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};

use super::root::Stage;
use super::{Exit, Stop};

/// Where a process listens that nobody configured.
pub(super) const URL_DEFAULT: &str = "http://127.0.0.1:9640";
/// An admin port answers from memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its text.
    pub(super) body: String,
}

/// Asks the process at `url`; `more` is added to the usual patience.
pub(super) async fn ask(
    (url, path): (&str, &str),
    method: Method,
    more: (Option<String>, Duration),
) -> Result<Reply, Stop> {
    let (token, wait) = more;
    let address = format!("{}{path}", url.trim_end_matches('/'));
    let client = Client::builder().timeout(PATIENCE + wait).no_proxy().build();
    let client = client.map_err(|error| Stop::failure(format!("no HTTP client: {error}")))?;
    let mut request = client.request(method, &address);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let away = |error: reqwest::Error| {
        let error = error.without_url();
        let cause = super::exit::chain(&error);
        let mut sentence = format!("{address} does not answer: {cause}");
        if url == URL_DEFAULT {
            sentence.push_str("; is it running, and does it listen there? Say where with --url");
        }
        let exit = Exit::Unreachable;
        Stop { exit, sentence }
    };
    let response = request.send().await.map_err(away)?;
    let status = response.status();
    let body = response.text().await.map_err(away)?;
    Ok(Reply { status, body })
}

// === impl Stage ===

impl Stage {
    /// The token that the configuration has for the admin port, if it can be read: a process on loopback needs none.
    pub(super) fn admin_token(&self) -> Option<String> {
        let super::config::Input { files, set } = &self.global.input;
        let loaded = crate::config::load(files, &self.env, set).ok()?;
        let token = loaded.root.admin.token?;
        let token = token.resolve(&|name| self.env.get(name)).ok()?;
        Some(token.expose().to_owned())
    }
}

// === impl Reply ===

impl Reply {
    /// The refusal's own sentence.
    pub(super) fn refusal(&self, url: &str) -> Stop {
        let told: Option<serde_json::Value> = serde_json::from_str(&self.body).ok();
        let told = told.as_ref().and_then(|body| body.get("error")?.as_str());
        let sentence = told.unwrap_or("the answer is not twinbox's; is it the admin port?");
        Stop::failure(format!("{url} answered {}: {sentence}", self.status.as_u16()))
    }
}
