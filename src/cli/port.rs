//! How verbs talk to a running process: its admin port.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Serialize;

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
    let request = client(wait)?.request(method, &address);
    send(request, (url, &address), token).await
}

/// Posts a document to the process at `url`.
pub(super) async fn tell(
    (url, path): (&str, &str),
    document: &impl Serialize,
    token: Option<String>,
) -> Result<Reply, Stop> {
    let address = format!("{}{path}", url.trim_end_matches('/'));
    let body = serde_json::to_string(document);
    let body = body.map_err(|error| Stop::failure(format!("no JSON: {error}")))?;
    // What the process asks its database may take a moment.
    let request = client(PATIENCE)?.post(&address).body(body);
    send(request, (url, &address), token).await
}

/// A path with its query.
pub(super) fn path<'a>(path: &str, query: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<String, Stop> {
    let base = reqwest::Url::parse("http://twinbox").map_err(|error| Stop::failure(error.to_string()))?;
    let mut asked = base.join(path).map_err(|error| Stop::failure(error.to_string()))?;
    asked.query_pairs_mut().extend_pairs(query);
    let query = asked.query().filter(|query| !query.is_empty());
    Ok(query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))
}

fn client(wait: Duration) -> Result<Client, Stop> {
    let client = Client::builder().timeout(PATIENCE + wait).no_proxy().build();
    client.map_err(|error| Stop::failure(format!("no HTTP client: {error}")))
}

async fn send(request: RequestBuilder, (url, address): (&str, &str), token: Option<String>) -> Result<Reply, Stop> {
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
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
