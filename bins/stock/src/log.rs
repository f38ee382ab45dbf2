//! How the stock programs log. The libraries have no logger of their own: who embeds them has one.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::trace::{self, Traces};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Logs to standard error from now on; without a format as text on a terminal, and as JSON elsewhere. Traces, where there
/// are any, go their own way.
///
/// # Panics
/// When the process has a logger already.
pub fn start(format: Option<LogFormat>, traces: Option<&Traces>) {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let people = std::io::stderr().is_terminal();
    let lines = match format.unwrap_or(if people { LogFormat::Text } else { LogFormat::Json }) {
        LogFormat::Text => lines.with_ansi(people && std::env::var_os("NO_COLOR").is_none()).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter()));
    match traces {
        Some(traces) => subscriber.with(traces.layer()).init(),
        None => subscriber.init(),
    }
}

/// What is logged: `HOOP_LOG`, or from `info` on; never what is traced.
pub fn filter() -> EnvFilter {
    let filter = EnvFilter::try_from_env("HOOP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    filter.add_directive(format!("{}=off", trace::TARGET).parse().expect("a target and a level"))
}
