//! Where metrics and traces go: one meter provider feeds `/metrics` and OTLP.
//!
//! Promises: `/metrics` is always there; OTLP only when its standard environment names a receiver; an unreachable
//! receiver never holds anything up, and at the end the process waits for it no longer than it is told.
//!
//! # Why the exporter blocks on threads of its own
//!
//! The batch processor and the periodic reader of the SDK run on plain threads. An asynchronous HTTP client panics there
//! ("no reactor running") while the process looks healthy; the blocking one does not. For the same reason flushing and
//! shutting down happen in `spawn_blocking`.

use std::time::Duration;

use opentelemetry::global::BoxedTracer;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::{Encoder as _, Registry, TextEncoder};

use crate::telemetry::names;

/// What `/metrics` answers with.
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The standard `OTEL_*` variables do not make sense.
    #[error("the OTLP exporter of {signal} cannot be built from the OTEL_* variables")]
    Otlp {
        /// `metrics` or `traces`.
        signal: &'static str,
        /// Why.
        #[source]
        source: ExporterBuildError,
    },
    /// The registry of `/metrics` refused.
    #[error("metrics cannot be registered")]
    Registry(#[from] OTelSdkError),
}

/// Metrics and traces of this process.
#[derive(Debug, Clone)]
pub struct Exports {
    registry: Registry,
    meters: SdkMeterProvider,
    traces: Option<SdkTracerProvider>,
}

// === impl Exports ===

impl Exports {
    /// Sets up what the environment asks for. `environment` is only asked which signals have a receiver.
    ///
    /// # Errors
    /// When a variable of the standard environment cannot be used.
    pub fn start(environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, ExportError> {
        let wanted = |signal: &str| {
            let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
            let set = |name: &str| environment(name).is_some_and(|value| !value.is_empty());
            let disabled = environment("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
            !disabled && (set("OTEL_EXPORTER_OTLP_ENDPOINT") || set(&own))
        };
        let registry = Registry::new();
        let mut meters = SdkMeterProvider::builder().with_resource(resource()).with_reader(
            opentelemetry_prometheus::exporter()
                .with_registry(registry.clone())
                .scope_info_enabled(false)
                .build()?,
        );
        if wanted("METRICS") {
            let exporter = MetricExporter::builder().with_http().build();
            meters = meters.with_periodic_exporter(exporter.map_err(|source| otlp("metrics", source))?);
        }
        let traces = if wanted("TRACES") {
            let exporter = SpanExporter::builder().with_http().build();
            let exporter = exporter.map_err(|source| otlp("traces", source))?;
            let provider = SdkTracerProvider::builder().with_resource(resource());
            Some(provider.with_batch_exporter(exporter).build())
        } else {
            None
        };
        Ok(Self {
            registry,
            meters: meters.build(),
            traces,
        })
    }

    /// What instruments are made from.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.meters.meter(names::SCOPE)
    }

    /// What spans go to, when somebody wants them.
    #[must_use]
    pub fn tracer(&self) -> Option<BoxedTracer> {
        let scope = InstrumentationScope::builder(names::SCOPE)
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(names::SCHEMA_URL)
            .build();
        let traces = self.traces.as_ref()?;
        Some(BoxedTracer::new(Box::new(traces.tracer_with_scope(scope))))
    }

    /// The text of `/metrics`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to a Vec fails for no reason but a metric without samples; the rest is written then.
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "a metric could not be written");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Sends what is left, for at most `deadline`.
    pub async fn shutdown(self, deadline: Duration) {
        let ending = tokio::task::spawn_blocking(move || {
            let traces = self
                .traces
                .map_or(Ok(()), |traces| traces.shutdown_with_timeout(deadline));
            traces.and(self.meters.shutdown_with_timeout(deadline))
        });
        match tokio::time::timeout(deadline, ending).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::debug!(%error, "telemetry ended incompletely"),
            Ok(Err(error)) => tracing::debug!(%error, "telemetry ended incompletely"),
            Err(_) => tracing::debug!(?deadline, "telemetry was not sent in time"),
        }
    }
}

fn otlp(signal: &'static str, source: ExporterBuildError) -> ExportError {
    ExportError::Otlp { signal, source }
}

/// Who sends: the standard variables win over our name.
fn resource() -> Resource {
    let own = [KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
    let built = Resource::builder().with_schema_url(own, names::SCHEMA_URL);
    let named = built.build();
    let service = opentelemetry::Key::from_static_str("service.name");
    match named.get(&service) {
        Some(name) if !name.as_str().starts_with("unknown_service") => named,
        _ => {
            let own = [KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
            let built = Resource::builder().with_service_name(names::SCOPE);
            built.with_schema_url(own, names::SCHEMA_URL).build()
        }
    }
}
