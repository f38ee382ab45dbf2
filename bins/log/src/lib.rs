//! How the stock programs log. The libraries have no logger of their own: who embeds them has one.

mod runtime;

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

pub use runtime::runtime;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Logs to standard error from now on; without a format as text on a terminal, and as JSON elsewhere.
///
/// # Panics
/// When the process has a logger already.
pub fn start(format: Option<LogFormat>) {
    let builder = tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr);
    let people = std::io::stderr().is_terminal();
    match format.unwrap_or(if people { LogFormat::Text } else { LogFormat::Json }) {
        LogFormat::Text => builder.with_ansi(people && std::env::var_os("NO_COLOR").is_none()).init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// What is logged: `HOOP_LOG`, or from `info` on.
pub fn filter() -> EnvFilter {
    EnvFilter::try_from_env("HOOP_LOG").unwrap_or_else(|_| EnvFilter::new("info"))
}
