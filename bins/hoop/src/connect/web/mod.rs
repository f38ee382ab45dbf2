//! `hoop connect` for a role that speaks HTTP: in the browser, at a port of this machine, or by curl.

mod curl;
mod own;
mod reverse;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::listen::Listen;
use super::program;
use crate::credentials::Credential;
use crate::door::Door;
use crate::failure::Failure;
use crate::output::{self, Format, printable};
use crate::shell::Shell;
use crate::stop::Stop;
use own::Own;
use reverse::Reverse;

/// What is to be done with the role.
pub(super) enum Client {
    /// A browser, which signs in by itself where it finds the role.
    Browser { opens: bool },
    /// `curl`, with these arguments.
    Curl { program: PathBuf, arguments: Vec<String> },
}

impl Client {
    /// The one that the arguments are for.
    ///
    /// # Errors
    /// Where it is not installed.
    pub(super) fn of(arguments: &[String], opens: bool, role: &str) -> Result<Self, Failure> {
        if arguments.is_empty() {
            return Ok(Self::Browser { opens });
        }
        let missing = || {
            Failure::new(1, "curl is not installed")
                .hint(format!("apt-get install curl; or take another client: hoop connect {role} --listen 8080"))
        };
        let program = program("curl").ok_or_else(missing)?;
        Ok(Self::Curl { program, arguments: arguments.to_vec() })
    }
}

/// Runs it; the credential is good as long.
pub(super) async fn run(
    client: Client,
    listen: Option<Listen>,
    credential: &Credential,
    door: Door,
    stop: &mut Stop,
    shell: &Shell,
) -> Result<ExitCode, Failure> {
    let done = |()| ExitCode::SUCCESS;
    match (client, listen) {
        (Client::Curl { program, arguments }, _) => curl::run(program, &arguments, credential, door, stop).await,
        (_, Some(listen)) => serve(listen, None, credential, door, stop, shell).await.map(done),
        // A browser does not go through the tunnel, nor to a name that leads to its own machine.
        (Client::Browser { opens }, None) if door.is_tunnel() || !credential.is_reached_by_browsers() => {
            serve(Listen::ANY, Some(opens), credential, door, stop, shell).await.map(done)
        }
        (Client::Browser { opens }, None) => browse(opens, credential, shell).map(done),
    }
}

/// Sends the browser to the role's origin; it signs in there, and needs nothing of this program.
fn browse(opens: bool, credential: &Credential, shell: &Shell) -> Result<(), Failure> {
    let url = format!("{}/", credential.base());
    match shell.format {
        Format::Table | Format::Csv => output::line(&url)?,
        format => output::show(document(format), &json!({ "url": url, "role": credential.role }), &[])?,
    }
    if opens {
        open_in_browser(&url);
    }
    Ok(())
}

fn open_in_browser(url: &str) {
    if open::that_detached(url).is_err() {
        eprintln!("No browser could be opened; open the link yourself on this machine.");
    }
}

/// Leads a port of this machine to the role until it is asked to stop; `browser` says whether one is to be opened there.
async fn serve(
    listen: Listen,
    browser: Option<bool>,
    credential: &Credential,
    door: Door,
    stop: &mut Stop,
    shell: &Shell,
) -> Result<(), Failure> {
    let listener = listen.bind().await?;
    let local = listener.local_addr()?;
    let reverse = Reverse::new(listener, Own::Port(local), credential, door, true)?;
    let shown = if local.ip().is_unspecified() { format!("localhost:{}", local.port()) } else { local.to_string() };
    let url = format!("http://{shown}/");
    match shell.format {
        Format::Table | Format::Csv => output::line(&url)?,
        format => {
            let data = json!({ "listen": local.to_string(), "url": url, "credential": credential.id });
            output::show(document(format), &data, &[])?;
        }
    }
    let role = printable(&credential.role);
    shell.tell(format!("{local} leads to role {role} in your name until Ctrl-C, which also ends the credential"));
    if browser == Some(true) {
        open_in_browser(&url);
    }
    tokio::select! {
        never = reverse.accept() => match never? {},
        // Ctrl-C is how it is meant to end.
        _ = stop.next() => {}
    }
    reverse.finish().await;
    Ok(())
}

/// Programs read one line.
const fn document(format: Format) -> Format {
    match format {
        Format::Json => Format::Ndjson,
        other => other,
    }
}
