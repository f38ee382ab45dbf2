//! `hoop connect`: a native client through the gateway, with a credential that is taken back when it ends.

mod listen;
mod print;
mod web;

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::process::{Child, Command};

use crate::api::{Api, segment};
use crate::completions;
use crate::credentials::{Credential, HTTP, SSH, Wish};
use crate::dev::terminate;
use crate::door::{Door, Route, Via};
use crate::failure::Failure;
use crate::output::text;
use crate::reviews::{Agreement, agreed};
use crate::shell::Shell;
use crate::ssh::client;
use crate::stop::{Asked, Stop};
use listen::{Forward, Listen};
use print::Print;

#[derive(Args)]
pub(crate) struct Options {
    /// The role; hoop roles list shows those that you may reach.
    #[arg(add = completions::roles())]
    role: String,
    #[command(flatten)]
    wish: Wish,
    /// Prints what a client of your own needs. The credential stays good until it expires.
    #[arg(long, value_name = "FORM", conflicts_with_all = ["listen", "arguments"])]
    print: Option<Print>,
    /// Forwards a port of this machine to the gateway until Ctrl-C; port 0 takes a free one. The port of a web app asks in your
    /// name: whoever reaches it needs no token.
    #[arg(long, value_name = "[ADDRESS:]PORT", conflicts_with = "arguments")]
    listen: Option<Listen>,
    /// Says where a web app is, and opens no browser there.
    #[arg(long)]
    no_browser: bool,
    #[command(flatten)]
    agreement: Agreement,
    #[command(flatten)]
    route: Route,
    /// Given to the client as they are; of a web app that is curl, and its paths are asked of the role: `-- /api/customers`.
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

pub(crate) async fn run(options: Options, shell: &Shell) -> Result<ExitCode, Failure> {
    // Before a credential is made that nobody could use.
    if options.print.is_some() && options.route.via == Via::Tunnel {
        let text = "what is printed is for clients that reach the gateway's own door, and not through the tunnel";
        return Err(Failure::new(Failure::USAGE, text).hint("--listen PORT opens a way for them"));
    }
    // From here on a signal ends nothing by itself: what is made is taken back.
    let mut stop = Stop::new()?;
    let (api, client, (credential, made)) = {
        let mut stopped = pin!(stop.any(shell.timeout));
        let known = async {
            let api = shell.api().await?;
            let kind = kind(&api, &options.role).await?;
            Ok::<_, Failure>((api, kind))
        };
        let (api, kind) = tokio::select! {
            known = known => known?,
            failure = &mut stopped => return Err(failure),
        };
        if let Some(print) = options.print {
            print.check(&kind)?;
        }
        let client = match (options.print, options.listen) {
            (Some(_), _) => None,
            _ if kind == HTTP => {
                Some(Native::Web(web::Client::of(&options.arguments, !options.no_browser, &options.role)?))
            }
            (None, None) if kind == SSH => Some(Native::Ssh(client::ssh(&options.role)?)),
            (None, None) => Some(Native::Postgres(psql(&options.role)?)),
            _ => None,
        };
        // What is printed is for later: its own client waits then.
        if options.print.is_none() {
            let database = options.wish.database.as_deref();
            agreed(&api, &options.role, database, &options.agreement, &mut stopped, shell).await?;
        }
        let borrowed = Credential::borrow(&api, &options.role, &options.wish, stopped).await?;
        (api, client, borrowed)
    };
    if let Some(print) = options.print {
        print::run(print, &credential, &made, shell)?;
        return Ok(ExitCode::SUCCESS);
    }
    let door = tokio::select! {
        door = Door::of(&credential, &api, options.route, shell) => door,
        failure = stop.any(shell.timeout) => Err(failure),
    };
    let ended = match (door, client) {
        (Err(failure), _) => Err(failure),
        (Ok(door), client) => use_it(client, &credential, door, &options, &mut stop, shell).await,
    };
    credential.give_back(&api).await;
    ended
}

/// The program that a role is for.
enum Native {
    Postgres(PathBuf),
    Ssh(PathBuf),
    Web(web::Client),
}

async fn use_it(
    client: Option<Native>,
    credential: &Credential,
    door: Door,
    options: &Options,
    stop: &mut Stop,
    shell: &Shell,
) -> Result<ExitCode, Failure> {
    let arguments = &options.arguments;
    match (client, options.listen) {
        (Some(Native::Web(client)), listen) => Box::pin(web::run(client, listen, credential, door, stop, shell)).await,
        (_, Some(listen)) => listen::run(listen, credential, door, stop, shell).await.map(|()| ExitCode::SUCCESS),
        (Some(Native::Ssh(ssh)), None) => {
            at_door(credential, door, async |credential| client::native(ssh, credential, arguments, stop).await).await
        }
        (Some(Native::Postgres(psql)), None) => {
            let reason = options.agreement.setting();
            let run = async |credential: &Credential| native(psql, credential, reason, arguments, stop).await;
            at_door(credential, door, run).await
        }
        (None, None) => Ok(ExitCode::SUCCESS),
    }
}

/// How long a client's last words may take after it has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs a client at the door, or at a port of this machine that leads to it through the tunnel.
pub(crate) async fn at_door<T>(
    credential: &Credential,
    door: Door,
    client: impl AsyncFnOnce(&Credential) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if !door.is_tunnel() {
        return client(credential).await;
    }
    let forward = Forward::bind(Listen::ANY, door).await?;
    let local = listen::through(forward.address()?, credential);
    let ended = tokio::select! {
        ended = client(&local) => ended,
        never = forward.accept() => match never? {},
    };
    forward.finish(LAST_WORDS).await;
    ended
}

/// What a role is, and so which client it needs.
pub(crate) async fn kind(api: &Api, role: &str) -> Result<String, Failure> {
    let found = api.get(&format!("/api/v1/roles/{}", segment(role))).await?;
    Ok(text(&found, "kind"))
}

/// Where `psql` is.
fn psql(role: &str) -> Result<PathBuf, Failure> {
    let missing = || {
        Failure::new(1, "psql, the client for PostgreSQL, is not installed").hint(format!(
            "apt-get install postgresql-client, or brew install libpq; or take another client: hoop connect {role} --print url"
        ))
    };
    program("psql").ok_or_else(missing)
}

/// A program in `PATH`.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// What of the user's own settings for libpq would lead it elsewhere, or log in as somebody else.
const FOREIGN: [&str; 10] = [
    "PGHOSTADDR",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGPASSFILE",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLNEGOTIATION",
    "PGREQUIREAUTH",
    "PGGSSENCMODE",
];

/// Runs it, and gives its exit code. The password is in its environment, and in no process list.
async fn native(
    client: PathBuf,
    credential: &Credential,
    reason: Option<String>,
    arguments: &[String],
    stop: &mut Stop,
) -> Result<ExitCode, Failure> {
    let mut command = Command::new(&client);
    if let Some(reason) = reason {
        // Beside the user's own settings.
        let own = std::env::var("PGOPTIONS").map(|own| own + " ").unwrap_or_default();
        command.env("PGOPTIONS", own + &reason);
    }
    command.args(arguments).envs(settings(credential).iter().map(|(name, value)| (*name, value.as_str())));
    for name in FOREIGN {
        command.env_remove(name);
    }
    let child =
        command.spawn().map_err(|error| Failure::new(1, format!("{} cannot be started: {error}", client.display())))?;
    follow(child, stop).await
}

/// Waits for a client's end, and gives its exit code.
async fn follow(mut child: Child, stop: &mut Stop) -> Result<ExitCode, Failure> {
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            asked = stop.next() => match asked {
                // It reaches the client as well, for which it ends a statement and not the session.
                Asked::Interrupt => {}
                Asked::Terminate | Asked::Hangup => terminate(&child),
            },
        }
    };
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// The credential, as libpq reads it from the environment; for SSH, as `sshpass -e` and scripts do; for HTTP, the role's origin
/// and what goes into `Hoop-Token`, as nothing else calls them.
///
/// The login is bound to the TLS channel: the gateway proves that it has the credential that its API gave, on this very
/// connection. So nobody is in between, whoever signed the certificate of this door.
fn settings(credential: &Credential) -> Vec<(&'static str, String)> {
    if credential.is_ssh() {
        return vec![
            ("SSH_HOST", credential.host.clone()),
            ("SSH_PORT", credential.port.to_string()),
            ("SSH_USER", credential.user.clone()),
            ("SSHPASS", credential.password.expose().clone()),
        ];
    }
    if credential.is_http() {
        return vec![("HOOP_WEB_URL", credential.base()), ("HOOP_WEB_TOKEN", credential.token().expose().clone())];
    }
    let mut settings = vec![
        ("PGHOST", credential.host.clone()),
        ("PGPORT", credential.port.to_string()),
        ("PGUSER", credential.user.clone()),
        ("PGPASSWORD", credential.password.expose().clone()),
        ("PGDATABASE", credential.database.clone()),
        ("PGSSLMODE", credential.sslmode.clone()),
    ];
    if credential.is_encrypted() {
        settings.push(("PGCHANNELBINDING", "require".to_owned()));
    }
    settings
}
