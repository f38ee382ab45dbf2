//! `hoop exec`: SQL through the gateway, and its rows as data; or a command on a machine.

mod postgres;
mod writer;

use std::future::poll_fn;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures::{FutureExt as _, StreamExt as _};
use hoop_core::Code;
use tokio_postgres::{AsyncMessage, Client, Connection, Error, SimpleQueryMessage};
use tokio_util::task::TaskTracker;

use crate::api::{Api, innermost};
use crate::completions;
use crate::connect::{at_door, kind};
use crate::credentials::{Credential, HTTP, SSH, Wish};
use crate::door::{Door, Route, Wire};
use crate::failure::Failure;
use crate::output::printable;
use crate::reviews::{Agreement, agreed};
use crate::shell::Shell;
use crate::ssh::client;
use crate::stop::Stop;
use postgres::{Gateway, Socket};
use writer::Writer;

#[derive(Args)]
pub(crate) struct Options {
    /// The role; hoop roles list shows those that you may reach.
    #[arg(add = completions::roles())]
    role: String,
    /// The statements, or the command; unless given, standard input.
    #[arg(long, short, value_name = "TEXT", conflicts_with = "file")]
    command: Option<String>,
    /// A file with the statements; `-` is standard input.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The database; unless given, that of the role.
    #[arg(long, short, value_name = "NAME")]
    database: Option<String>,
    #[command(flatten)]
    agreement: Agreement,
    #[command(flatten)]
    route: Route,
}

/// The credential is for one login, at once.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// How long a cancelled statement may take to end.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub(crate) async fn run(options: Options, shell: &Shell) -> Result<ExitCode, Failure> {
    let text = text(options.command.clone(), options.file.as_deref())?;
    let mut stop = Stop::new()?;
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
    if kind == HTTP {
        let role = &options.role;
        let text = format!("role {role} is a web app, and runs no statements or commands");
        return Err(Failure::new(Failure::USAGE, text).hint(format!("hoop connect {role} -- /path asks it with curl")));
    }
    let database = options.database.as_deref();
    agreed(&api, &options.role, database, &options.agreement, &mut stopped, shell).await?;
    match kind.as_str() {
        SSH => over_ssh(&api, &options, text, stopped, shell).await,
        _ => sql(&api, &options, &text, stopped, shell).await.map(|()| ExitCode::SUCCESS),
    }
}

/// Runs a command on a machine. Its input and output are this program's, and so is its exit code.
async fn over_ssh(
    api: &Api,
    options: &Options,
    command: String,
    mut stopped: Pin<&mut impl Future<Output = Failure>>,
    shell: &Shell,
) -> Result<ExitCode, Failure> {
    let client = client::ssh(&options.role)?;
    let wish = Wish { duration: Some(GOOD_FOR), database: options.database.clone() };
    let (credential, _) = Credential::borrow(api, &options.role, &wish, &mut stopped).await?;
    let door = tokio::select! {
        door = Door::of(&credential, api, options.route, shell) => door,
        failure = &mut stopped => Err(failure),
    };
    let ended = match door {
        Ok(door) => {
            let run = async |credential: &Credential| client::exec(client, credential, command, stopped).await;
            at_door(&credential, door, run).await
        }
        Err(failure) => Err(failure),
    };
    credential.give_back(api).await;
    ended
}

async fn sql(
    api: &Api,
    options: &Options,
    sql: &str,
    mut stopped: Pin<&mut impl Future<Output = Failure>>,
    shell: &Shell,
) -> Result<(), Failure> {
    let wish = Wish { duration: Some(GOOD_FOR), database: options.database.clone() };
    let (credential, _) = Credential::borrow(api, &options.role, &wish, &mut stopped).await?;
    let tasks = TaskTracker::new();
    let opened = async {
        let door = Door::of(&credential, api, options.route, shell).await?;
        let settings = options.agreement.setting();
        let gateway = Gateway { credential: &credential, door, settings, tasks: &tasks };
        let opened = gateway.open().await?;
        Ok::<_, Failure>((gateway, opened))
    };
    let done = tokio::select! {
        opened = opened => match opened {
            Ok((gateway, (client, connection))) => {
                Box::pin(session(client, connection, sql, &gateway, shell, stopped)).await
            }
            Err(failure) => Err(failure),
        },
        failure = &mut stopped => Err(failure),
    };
    tasks.close();
    // What was said last is on its way.
    let _ = tokio::time::timeout(LAST_WORDS, tasks.wait()).await;
    credential.give_back(api).await;
    done
}

fn text(command: Option<String>, file: Option<&Path>) -> Result<String, Failure> {
    if let Some(command) = command {
        return Ok(command);
    }
    let file = file.filter(|file| *file != Path::new("-"));
    if let Some(file) = file {
        return Ok(std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?);
    }
    let mut input = std::io::stdin();
    if input.is_terminal() {
        let text = "there is nothing to run";
        return Err(Failure::new(Failure::USAGE, text).hint("-c 'select 1', -f FILE, or statements on standard input"));
    }
    let mut text = String::new();
    input.read_to_string(&mut text).context("standard input cannot be read as text")?;
    Ok(text)
}

/// Runs the statements to their end, or until somebody has enough, which the server is told.
async fn session(
    client: Client,
    connection: Connection<Wire, Socket>,
    sql: &str,
    gateway: &Gateway<'_>,
    shell: &Shell,
    stopped: impl Future<Output = Failure>,
) -> Result<(), Failure> {
    let token = client.cancel_token();
    let mut connection = Some(connection);
    let mut work = pin!(async {
        let done = to_the_end(&client, &mut connection, sql, shell).await;
        if done.as_ref().is_err_and(Failure::is_reader_gone) {
            // Rows that nobody wants need not be made.
            let _ = gateway.cancel(&token).await;
        }
        // The server is told that nothing more comes, so that the session ends as one that was completed.
        drop(client);
        let _ = tokio::time::timeout(LAST_WORDS, drive(&mut connection, shell)).await;
        done
    });
    let failure = tokio::select! {
        done = &mut work => return done,
        failure = stopped => failure,
    };
    if let Err(failure) = gateway.cancel(&token).await {
        shell.tell(format!("the server could not be told to stop: {failure}"));
    }
    let _ = tokio::time::timeout(LAST_WORDS, work).await;
    Err(failure)
}

async fn to_the_end(
    client: &Client,
    connection: &mut Option<Connection<Wire, Socket>>,
    sql: &str,
    shell: &Shell,
) -> Result<(), Failure> {
    let mut statements = pin!(statements(client, sql, shell));
    tokio::select! {
        biased;
        done = &mut statements => done,
        ended = drive(connection, shell) => match (statements.await, ended) {
            // What ended the connection tells more than that it is closed.
            (Err(failure), Err(error)) if failure.is_unavailable() => Err(self::failure(&error)),
            (done, _) => done,
        },
    }
}

/// Moves bytes until the connection ends, and says what the server has to say. Whoever waits for an answer then gets none.
async fn drive(connection: &mut Option<Connection<Wire, Socket>>, shell: &Shell) -> Result<(), Error> {
    let ended = match connection {
        Some(connection) => messages(connection, shell).await,
        None => Ok(()),
    };
    *connection = None;
    ended
}

async fn messages(connection: &mut Connection<Wire, Socket>, shell: &Shell) -> Result<(), Error> {
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
        if let AsyncMessage::Notice(notice) = message? {
            let (severity, said) = (printable(notice.severity()), printable(notice.message()));
            shell.tell(format!("{}: {said}", severity.to_lowercase()));
        }
    }
    Ok(())
}

/// Rows are written as they come; what cannot be written yet is not asked for.
async fn statements(client: &Client, sql: &str, shell: &Shell) -> Result<(), Failure> {
    let mut writer = Writer::new(shell.format, tokio::io::stdout()).on_terminal(std::io::stdout().is_terminal());
    let mut messages = Box::pin(client.simple_query_raw(sql).await.map_err(|error| failure(&error))?);
    loop {
        // Nothing is kept back while nothing comes.
        let next = match messages.next().now_or_never() {
            Some(next) => next,
            None => {
                writer.rest().await?;
                messages.next().await
            }
        };
        match next {
            Some(Ok(SimpleQueryMessage::RowDescription(columns))) => {
                writer.columns(columns.iter().map(|column| column.name().to_owned()).collect()).await?;
            }
            Some(Ok(SimpleQueryMessage::Row(row))) => {
                let cells: Vec<Option<&str>> = (0..row.len()).map(|at| row.get(at)).collect();
                writer.row(&cells).await?;
            }
            Some(Ok(SimpleQueryMessage::CommandComplete(rows))) => {
                if !writer.end_of_result().await? {
                    shell.tell(format!("ok, {rows} rows"));
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                writer.break_off().await?;
                return Err(failure(&error));
            }
            None => return writer.finish().await,
        }
    }
}

/// What the gateway or the server says. Where the server names its source file, the gateway has its stable code.
fn failure(error: &Error) -> Failure {
    let Some(said) = error.as_db_error() else {
        let text = innermost(error);
        return match error.is_closed() {
            true => Failure::new(Failure::UNAVAILABLE, "the gateway closed the connection"),
            false if is_broken(error) => {
                Failure::new(Failure::UNAVAILABLE, format!("the connection to the gateway broke off: {text}"))
            }
            false => Failure::new(1, printable(&text)),
        };
    };
    let code = said.routine().and_then(|routine| routine.parse::<Code>().ok());
    let mut text = format!("{} (SQLSTATE {})", printable(said.message()), printable(said.code().code()));
    if let Some(detail) = said.detail() {
        text = format!("{text}: {}", printable(detail));
    }
    let failure = Failure::new(code.map_or(1, Failure::exit_code), text);
    match said.hint() {
        Some(hint) => failure.hint(printable(hint)),
        None => failure,
    }
}

/// Whether the connection went away without the server's last word.
fn is_broken(error: &Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof))
}
