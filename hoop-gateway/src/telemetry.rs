//! Metrics, in Prometheus' text format. Each gateway has a registry of its own: nothing is installed for the process, so
//! that two gateways in one process count apart.

mod process;
pub mod span;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// A gateway's metrics. What it hands out is an atomic number: counting costs nanoseconds, and no look-up.
pub struct Telemetry {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    /// Agents' processes that are attached now.
    pub agents_attached: Gauge,
    /// Sessions that run now.
    pub sessions_open: Gauge,
    /// Sessions that were opened.
    pub sessions_opened: Counter,
    /// Sessions that were refused.
    pub sessions_refused: Counter,
    /// Seconds from the first byte of a client to the first byte of its session.
    pub session_open_seconds: Histogram,
    /// Logins that failed, at any door.
    pub logins_failed: Counter,
    /// Connections that ended since they broke their protocol.
    pub protocol_errors: Counter,
    /// Seconds that API requests took.
    pub http_request_seconds: Histogram,
    /// When the certificate ends that the doors show, in seconds since 1970.
    pub certificate_expiry: Gauge,
}

const METADATA: Metadata<'_> = Metadata::new("hoop", Level::INFO, None);
/// From a tenth of a millisecond to half a minute.
const BUCKETS: [f64; 12] = [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0];

impl Telemetry {
    /// Nothing has been counted yet.
    ///
    /// # Errors
    /// Never with the buckets that are built in; the registry's maker cannot know that.
    pub fn new() -> Result<Self, BuildError> {
        let builder =
            PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?;
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let counter = |name, help| described(&recorder, name, help);
        let gauge = |name: &'static str, help: &'static str| {
            recorder.describe_gauge(name.into(), None, help.into());
            recorder.register_gauge(&Key::from_static_name(name), &METADATA)
        };
        let seconds = |name: &'static str, help: &'static str| {
            recorder.describe_histogram(name.into(), Some(Unit::Seconds), help.into());
            recorder.register_histogram(&Key::from_static_name(name), &METADATA)
        };
        Ok(Self {
            agents_attached: gauge("hoop_agents_attached", "processes of agents that are attached"),
            sessions_open: gauge("hoop_sessions_open", "sessions that run"),
            sessions_opened: counter("hoop_sessions_opened_total", "sessions that were opened"),
            sessions_refused: counter("hoop_sessions_refused_total", "sessions that were refused"),
            session_open_seconds: seconds("hoop_session_open_seconds", "time to open a session"),
            logins_failed: counter("hoop_logins_failed_total", "logins that failed"),
            protocol_errors: counter("hoop_protocol_errors_total", "connections that broke their protocol"),
            http_request_seconds: seconds("hoop_http_request_seconds", "time of API requests"),
            certificate_expiry: gauge("hoop_tls_certificate_expiry_timestamp_seconds", "the end of the certificate"),
            handle,
            recorder,
        })
    }

    /// A counter of a plugin's or a vendor's own. Keep it: asking for it again is a look-up. Labels must have few values.
    pub fn counter(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Counter {
        let labels: Vec<Label> = labels.iter().map(|(name, value)| Label::from_static_parts(name, value)).collect();
        self.recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
    }

    /// Everything, and what the process takes, in Prometheus' text format 0.0.4.
    pub fn render(&self) -> String {
        self.handle.run_upkeep();
        self.handle.render() + &process::render()
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

fn described(recorder: &PrometheusRecorder, name: &'static str, help: &'static str) -> Counter {
    recorder.describe_counter(name.into(), None, help.into());
    recorder.register_counter(&Key::from_static_name(name), &METADATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_gateways_count_apart() {
        let (one, other) = (Telemetry::new().expect("buckets"), Telemetry::new().expect("buckets"));
        one.sessions_opened.increment(2);
        one.session_open_seconds.record(0.002);
        one.counter("hoop_http_requests_total", &[("method", "GET")]).increment(1);
        let text = one.render();
        assert!(text.contains("hoop_sessions_opened_total 2\n"), "{text}");
        assert!(text.contains("hoop_session_open_seconds_bucket{le=\"0.0025\"} 1\n"), "{text}");
        assert!(text.contains("hoop_http_requests_total{method=\"GET\"} 1\n"), "{text}");
        assert!(!other.render().contains("hoop_sessions_opened_total 2"));
    }
}
