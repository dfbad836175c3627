//! The log: on stderr, as JSON or text.
//!
//! Promises: one line per event; a field is never lost to formatting; a closed pipe is no panic; a line carries the trace
//! and span ids of the span it was written in, so that logs and traces find each other.

use std::io::IsTerminal as _;

use opentelemetry::trace::TraceContextExt as _;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::LogFormat;

/// What the log is to look like.
#[derive(Debug, Clone)]
pub struct Logs {
    /// Directives as `RUST_LOG` has them: `info`, or `info,twinbox=debug`.
    pub filter: String,
    /// Form of a line.
    pub form: LogFormat,
    /// Colours, where the form is text and the terminal can.
    pub color: bool,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("\"{filter}\" is no log filter; write a level such as info, or twinbox=debug")]
    Filter {
        /// As given.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else took the log before.
    #[error("the log is taken already")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts the log.
///
/// # Errors
/// When the filter cannot be read, or the log of this process was started before.
pub fn start(logs: &Logs) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&logs.filter).map_err(|source| LogError::Filter {
        filter: logs.filter.clone(),
        source,
    })?;
    let terminal = std::io::stderr().is_terminal();
    let json = match logs.form {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    // A line that cannot be written is dropped; telling it on stderr would panic where stderr is closed.
    let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let lines = if json {
        lines.fmt_fields(JsonFields::new()).event_format(Json).boxed()
    } else {
        lines.with_ansi(logs.color && terminal).with_target(false).boxed()
    };
    Ok(tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()?)
}

/// A line, in the order in which people read it.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'a str,
    message: Value,
    target: &'a str,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// One JSON object a line, fields beside each other.
#[derive(Debug)]
struct Json;

// === impl Json ===

impl<S> FormatEvent<S, JsonFields> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let meta = event.metadata();
        let mut fields = Map::new();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields_text) = span.extensions().get::<FormattedFields<JsonFields>>()
                && let Ok(Value::Object(inherited)) = serde_json::from_str(fields_text)
            {
                fields.extend(inherited);
            }
        }
        trace_ids(&mut fields);
        event.record(&mut Fields(&mut fields));
        let line = Line {
            timestamp: wall_clock().to_string(),
            level: meta.level().as_str(),
            message: fields.remove("message").unwrap_or_default(),
            target: meta.target(),
            fields,
        };
        let text = serde_json::to_string(&line).map_err(|_| std::fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

#[expect(clippy::disallowed_methods, reason = "the log's wall clock")]
fn wall_clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The ids of the span that the line is written in, when it is recorded somewhere.
fn trace_ids(fields: &mut Map<String, Value>) {
    let context = opentelemetry::Context::current();
    let span = context.span().span_context().clone();
    if span.is_valid() {
        fields.insert("trace_id".into(), span.trace_id().to_string().into());
        fields.insert("span_id".into(), span.span_id().to_string().into());
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let chain = std::iter::successors(Some(value), |error| error.source());
        let chain: Vec<String> = chain.map(ToString::to_string).collect();
        self.put(field, chain.join(": ").into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Page {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// What is written as JSON while `run` runs.
    fn written(run: impl FnOnce()) -> Vec<Value> {
        let page = Page::default();
        let lines = fmt::layer()
            .with_writer(page.clone())
            .fmt_fields(JsonFields::new())
            .event_format(Json);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), run);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_flat_and_knows_its_span() {
        let lines = written(|| {
            let span = tracing::info_span!("lead", relay = "orders", epoch = 7_u64);
            let _inside = span.enter();
            let cause = io::Error::other("line one\nline two");
            let error: &(dyn std::error::Error + 'static) = &cause;
            tracing::warn!(count = 3, ok = true, error, text = %"a\"b", "it\nhappened");
        });
        assert_eq!(lines.len(), 1, "a newline in a value is no second line");
        let line = &lines[0];
        for (name, value) in [
            ("level", Value::from("WARN")),
            ("message", "it\nhappened".into()),
            ("relay", "orders".into()),
            ("epoch", 7.into()),
            ("count", 3.into()),
            ("ok", true.into()),
            ("error", "line one\nline two".into()),
            ("text", "a\"b".into()),
        ] {
            assert_eq!(line[name], value, "{name} in {line}");
        }
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert_eq!(line.get("trace_id"), None, "nothing records spans here");
    }

    #[test]
    fn a_line_in_a_recorded_span_has_its_ids() {
        use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
        let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().build();
        let page = Page::default();
        let lines = fmt::layer()
            .with_writer(page.clone())
            .fmt_fields(JsonFields::new())
            .event_format(Json);
        let span = provider.tracer("test").start("send").span_context().clone();
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            crate::telemetry::within(Some(span), || tracing::info!("sent"));
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let line: Value = serde_json::from_str(&text).unwrap();
        let id = |name: &str| line[name].as_str().unwrap_or_default().len();
        assert_eq!((id("trace_id"), id("span_id")), (32, 16), "{line}");
    }
}
