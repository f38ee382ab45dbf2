//! `hoop-gateway start`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use hoop_core::id::OrgId;
use hoop_gateway::{Addresses, Gateway, GatewayBuilder, Running};
use hoop_stock::Traces;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::{Output, Start};

/// Serves until a signal, and then until what runs has ended, or a second signal.
pub(crate) async fn start(arguments: Start) -> anyhow::Result<ExitCode> {
    let config = arguments.sources.load()?.config;
    let endpoint = config.telemetry.otlp_endpoint.as_deref();
    let traces = Traces::of("hoop-gateway", env!("CARGO_PKG_VERSION"), endpoint).context("traces cannot be sent")?;
    hoop_stock::log::start(arguments.log_format, traces.as_ref());
    let mut gateway = Gateway::builder().config(config);
    if traces.is_some() {
        gateway = gateway.trace_context(hoop_stock::traceparent);
    }
    let served = serve(gateway, &arguments).await;
    if let Some(traces) = traces {
        let _ = tokio::task::spawn_blocking(|| traces.finish()).await;
    }
    served
}

async fn serve(gateway: GatewayBuilder, arguments: &Start) -> anyhow::Result<ExitCode> {
    // They are caught before anything is opened, so that nothing is left half open by one that comes early.
    let mut signals = Signals::new()?;
    let gateway = gateway.build().await?;
    let running = gateway.bind().await?;
    say_how_to_begin(&running).await;
    if arguments.output == Output::Json {
        print_addresses(running.addresses())?;
    }
    signals.next().await;
    Ok(stop(running, &mut signals).await)
}

/// The first signal lets running sessions end, the second one ends them, a third one waits for nothing.
async fn stop(running: Running, signals: &mut Signals) -> ExitCode {
    tracing::info!("stopping: running sessions may end, no new ones are taken; a second signal ends them");
    tokio::select! {
        () = running.drain() => {}
        () = signals.next() => {
            tracing::warn!("running sessions are ended");
            running.end_sessions();
        }
    }
    tokio::select! {
        () = running.shutdown() => ExitCode::SUCCESS,
        () = signals.next() => {
            tracing::error!("stopped at once: what was not closed is closed at the next start");
            ExitCode::FAILURE
        }
    }
}

/// Nobody can sign in to a gateway without users.
async fn say_how_to_begin(running: &Running) {
    match running.gateway().store().users().list(OrgId::DEFAULT, None, None, 1).await {
        Ok(users) if users.items.is_empty() => {
            let url = format!("{}/setup", running.endpoints().pages);
            tracing::warn!(
                url,
                "there is no user yet; make the first administrator in a browser, with what hoop-gateway setup-token \
                 shows, or here: hoop-gateway first-admin NAME"
            );
        }
        // A store that fails here fails at the first request as well, and says why there.
        _ => {}
    }
}

/// One line, for whoever started the gateway and waits for it.
fn print_addresses(addresses: &Addresses) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let line = serde_json::to_string(addresses)?;
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context("the addresses cannot be printed")
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let caught = |kind, name: &'static str| signal(kind).with_context(|| format!("cannot wait for {name}"));
        let terminate = caught(SignalKind::terminate(), "SIGTERM")?;
        Ok(Self { terminate, interrupt: caught(SignalKind::interrupt(), "SIGINT")? })
    }

    /// The next of either.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
