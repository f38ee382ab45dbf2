//! The stock agent: argument parsing and wiring only.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use hoop_agent::config::Config;
use hoop_agent::{Agent, AgentBuilder, ConnectError};
use hoop_stock::Traces;
use hoop_stock::log::LogFormat;
use tokio::signal::unix::{SignalKind, signal};

/// Reaches targets inside a private network on behalf of a Hoop gateway. It dials out and never listens.
#[derive(Parser)]
#[command(name = "hoop-agent", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Attach to the gateway and serve until stopped.
    Start(Common),
    /// Check key and configuration, attach once, and say what was found.
    Check(Common),
}

#[derive(Args)]
struct Common {
    /// Configuration file.
    #[arg(long, short, env = "HOOP_AGENT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines are written; text on a terminal and JSON elsewhere unless said.
    #[arg(long, env = "HOOP_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let result = hoop_stock::runtime().map_err(Into::into).and_then(|runtime| runtime.block_on(run(command)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hoop-agent: {error:#}");
            ExitCode::from(if error.downcast_ref::<ConnectError>().is_some_and(ConnectError::is_lasting) {
                3
            } else {
                1
            })
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Start(common) => start(common).await,
        Command::Check(common) => check(common).await,
    }
}

async fn start(common: Common) -> anyhow::Result<()> {
    let traces = Traces::of("hoop-agent", env!("CARGO_PKG_VERSION"), None).context("traces cannot be sent")?;
    hoop_stock::log::start(common.log_format, traces.as_ref());
    let (mut builder, grace) = builder(&common)?;
    if traces.is_some() {
        builder = builder.continue_trace(hoop_stock::continue_trace);
    }
    let served = serve(builder.build()?, grace).await;
    if let Some(traces) = traces {
        let _ = tokio::task::spawn_blocking(|| traces.finish()).await;
    }
    served
}

async fn serve(agent: Agent, grace: Duration) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping: what runs may end, nothing new is taken");
    };
    agent.run_until(shutdown, grace).await?;
    Ok(())
}

async fn check(common: Common) -> anyhow::Result<()> {
    let (builder, grace) = builder(&common)?;
    let agent = builder.build()?;
    println!("key and configuration are valid: {agent:?}");
    let running = agent.connect().await?;
    println!("attached");
    running.shutdown(grace).await;
    Ok(())
}

fn builder(common: &Common) -> anyhow::Result<(AgentBuilder, Duration)> {
    let config = common.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
    let grace = Duration::from_secs(config.grace_seconds.unwrap_or(30));
    Ok((config.builder()?, grace))
}
