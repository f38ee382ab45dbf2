//! Traces for a collector that speaks OpenTelemetry's protocol, OTLP over HTTP with protobuf.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

/// The target of the spans that are traced. They are in no log, and where nobody traces there are none.
pub(crate) const TARGET: &str = "hoop_trace";
/// How long the last spans may take to be sent.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// The variables by which OpenTelemetry's own documents name a collector.
const VARIABLES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Sends spans to a collector, on a thread of its own. A collector that is slow or away costs spans and nothing else.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// To the collector at this base URL, or at that of `OTEL_EXPORTER_OTLP_ENDPOINT`; `None` where neither says one. The
    /// other variables of OpenTelemetry hold as well: headers, timeout, sampler, service name, resource attributes.
    ///
    /// # Errors
    /// When the URL is none, or a variable says what cannot be done.
    pub fn of(
        service: &'static str,
        version: &'static str,
        endpoint: Option<&str>,
    ) -> Result<Option<Self>, ExporterBuildError> {
        let in_environment = VARIABLES.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        if endpoint.is_none() && !in_environment {
            return Ok(None);
        }
        let mut exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        if let Some(endpoint) = endpoint {
            exporter = exporter.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')));
        }
        let mut resource = Resource::builder().with_attribute(KeyValue::new("service.version", version));
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(service);
        }
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter.build()?);
        Ok(Some(Self { provider: provider.with_resource(resource.build()).build() }))
    }

    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("hoop"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO))
    }

    /// Sends what is left. It blocks, for a few seconds at most.
    pub fn finish(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_WORDS) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the last traces could not be sent");
        }
    }
}

/// The name of W3C's header.
const TRACEPARENT: &str = "traceparent";

/// Of which trace a span is, in the form of W3C's Trace Context, for who goes on with it elsewhere; `None` for a span that is
/// not traced.
pub fn traceparent(span: &Span) -> Option<String> {
    let mut headers = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
    headers.remove(TRACEPARENT)
}

/// Makes a span a part of somebody else's trace, where that is one; before anything happens in it.
pub fn continue_trace(span: &Span, traceparent: &str) {
    let headers = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    // Who does not trace has nothing to go on with.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&headers));
}
