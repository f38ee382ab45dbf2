//! What a `hoop dev` says.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use hoop_stock::log::LogFormat;
use serde_json::json;

use super::{Ready, Role};
use crate::credentials::{HTTP, SSH};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::{self, Format, has_colour};
use crate::place::FOLDER;
use crate::shell::Shell;

/// Logs go to a file in the folder: the terminal is for people.
pub(crate) fn log_to(dir: &Path) -> Result<(), Failure> {
    let file = open_log(&dir.join("logs/hoop.log"))?;
    tracing_subscriber::fmt().json().with_env_filter(hoop_stock::log::filter()).with_writer(file).init();
    Ok(())
}

/// A log that is its owner's alone, to be appended to.
pub(crate) fn open_log(path: &Path) -> Result<File, Failure> {
    let file = File::options().create(true).append(true).mode(0o600).open(path);
    Ok(file.with_context(|| format!("the log {} cannot be written", path.display()))?)
}

/// A part's logs go to standard error, which is a file.
pub(crate) fn log_to_stderr() {
    hoop_stock::log::start(Some(LogFormat::Json), None);
}

/// Says that everything runs.
pub(crate) fn ready(ready: &Ready, shell: &Shell) -> io::Result<()> {
    let elsewhere = matches!(shell.gateway(), Ok(Gateway::Remote(_)));
    let colours = !shell.no_color && has_colour();
    match shell.format {
        Format::Table => {
            let here = std::env::current_dir().unwrap_or_default();
            output::line(&people(ready, &option(&ready.dir, &here, elsewhere), Paint::new(colours)))
        }
        // Programs read the first line, whatever they asked for.
        _ => output::line(&line(ready).to_string()),
    }
}

fn line(ready: &Ready) -> serde_json::Value {
    let roles = ready.roles.iter().map(
        |role| json!({ "name": role.name, "kind": role.kind, "url": role.url, "tls_url": role.tls_url, "target_url": role.target_url }),
    );
    json!({
        "api": format!("http://{}", ready.addresses.http),
        "grpc": ready.addresses.grpc.to_string(),
        "postgres": ready.addresses.postgres.to_string(),
        "ssh": ready.addresses.ssh.to_string(),
        "proxy": ready.addresses.proxy.to_string(),
        "admin": ready.admin,
        "roles": roles.collect::<Vec<_>>(),
        "pids": ready.pids,
        "dir": ready.dir,
    })
}

/// What must be added to a command that is typed in `here`, so that it finds the folder; `elsewhere`, where commands are for
/// another gateway unless it is named.
fn option(dir: &Path, here: &Path, elsewhere: bool) -> String {
    if !elsewhere && (dir == here || dir == here.join(FOLDER)) {
        String::new()
    } else {
        format!(" --dir {}", dir.display())
    }
}

/// Bold, dim and plain, where the terminal has them.
#[derive(Clone, Copy)]
struct Paint {
    bold: &'static str,
    dim: &'static str,
    plain: &'static str,
}

impl Paint {
    const fn new(colours: bool) -> Self {
        match colours {
            true => Self { bold: "\x1b[1m", dim: "\x1b[2m", plain: "\x1b[0m" },
            false => Self { bold: "", dim: "", plain: "" },
        }
    }
}

fn people(ready: &Ready, option: &str, paint: Paint) -> String {
    let Ready { addresses, admin, dir, .. } = ready;
    let Paint { bold, dim, plain } = paint;
    let dir = dir.display();
    let begin = format!(
        "
{bold}Hoop runs on this machine.{plain}

  API         http://{}
  sign in     {} / {}
  PostgreSQL  {}
  SSH         {}
  HTTP        {}
  agents      grpcs://{}
  folder      {dir}   {dim}store, recordings, logs, certificate{plain}
",
        addresses.http, admin.user, admin.password, addresses.postgres, addresses.ssh, addresses.proxy, addresses.grpc,
    );
    let of = |kind: &str| ready.roles.iter().find(|role| role.kind == kind);
    let next = match of("postgres") {
        Some(role) => {
            format!("{}{}{}", demo(role, of(SSH), option, paint), services(ready, option, paint), look(option, paint))
        }
        None => format!("With a sample database to try it on:  {bold}hoop dev --demo{option}{plain}\n"),
    };
    format!("{begin}\n{next}\n{dim}Ctrl-C stops everything.{plain}")
}

fn demo(role: &Role, machine: Option<&Role>, option: &str, Paint { bold, dim, plain }: Paint) -> String {
    let url = &role.url;
    let shell = machine.map(|machine| {
        let name = &machine.name;
        format!(
            "
  {bold}hoop connect {name}{option}{plain}                        {dim}a shell on this machine, recorded{plain}
  {bold}hoop ssh-config{option} --file demo.conf; ssh -F demo.conf {name}{plain}
"
        )
    });
    let shell = shell.unwrap_or_default();
    format!(
        "{bold}Try it{plain}, in another terminal:

  {bold}psql '{url}'{plain}

    select name, email, card_number, ssn from customers limit 5;   {dim}-- masked{plain}
    drop table customers;                                          {dim}-- refused, and the session goes on{plain}
    \\q
{shell}"
    )
}

/// The web app for a browser and for curl, and the gRPC service at a port of this machine.
fn services(ready: &Ready, option: &str, Paint { bold, dim, plain }: Paint) -> String {
    let web = |name: &str| ready.roles.iter().find(|role| role.kind == HTTP && role.name == name);
    let mut text = String::new();
    if let Some(Role { url, .. }) = web(super::web::ROLE) {
        let page = without_login(url);
        text += &format!(
            "
  {bold}{page}{plain}   {dim}a web app; sign in as {}{plain}
  {bold}curl '{url}api/customers'{plain}
",
            ready.admin.user
        );
    }
    if let Some(Role { name, .. }) = web(super::grpc::ROLE) {
        text += &format!(
            "
  {bold}hoop connect {name}{option} --listen 50051{plain}   {dim}a gRPC service; then, in a third terminal:{plain}
  {bold}grpcurl -plaintext localhost:50051 demo.v1.Customers/List{plain}
"
        );
    }
    text
}

/// What a browser is to open: what it is told of a user and a password would stay in its history.
fn without_login(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?.1))) {
        Some((scheme, rest)) => format!("{scheme}://{rest}"),
        None => url.to_owned(),
    }
}

fn look(option: &str, Paint { bold, dim, plain }: Paint) -> String {
    format!(
        "
  {bold}hoop audit show{option}{plain}     {dim}what was done, and what was shown{plain}
  {bold}hoop audit verify{option}{plain}   {dim}that nobody has changed it since{plain}
  {bold}hoop sessions list{option}{plain}  {dim}who used what{plain}
"
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::dev::gateway::Addresses;
    use crate::place::Admin;

    fn example(demo: bool) -> Ready {
        let address = |port: u16| ([127, 0, 0, 1], port).into();
        let role = Role {
            name: "demo-pg".to_owned(),
            kind: "postgres",
            url: "postgresql://demo-pg-x:y@127.0.0.1:15432/shop".to_owned(),
            tls_url: String::new(),
            target_url: String::new(),
        };
        let machine = Role {
            name: "demo-ssh".to_owned(),
            kind: SSH,
            url: "ssh://demo-ssh-x@127.0.0.1:12222".to_owned(),
            tls_url: String::new(),
            target_url: String::new(),
        };
        let service = |name: &str| Role {
            name: name.to_owned(),
            kind: HTTP,
            url: format!("http://{name}-x:y@{name}.localhost:18888/"),
            tls_url: String::new(),
            target_url: String::new(),
        };
        Ready {
            dir: PathBuf::from("/srv/hoop-dev"),
            addresses: Addresses {
                http: address(8009),
                grpc: address(8010),
                postgres: address(15432),
                ssh: address(12222),
                proxy: address(18888),
            },
            admin: Admin { user: "admin".to_owned(), password: "secret".to_owned() },
            roles: if demo { vec![role, machine, service("demo-web"), service("demo-grpc")] } else { Vec::new() },
            pids: json!({ "hoop": 1 }),
        }
    }

    #[test]
    fn people_are_told_what_to_type_next() {
        let plain = Paint::new(false);
        let text = people(&example(true), "", plain);
        for part in [
            "http://127.0.0.1:8009",
            "admin / secret",
            "psql 'postgresql://demo-pg-x:y@127.0.0.1:15432/shop'",
            "hoop audit show ",
            "hoop connect demo-ssh ",
            "  http://demo-web.localhost:18888/ ",
            "curl 'http://demo-web-x:y@demo-web.localhost:18888/api/customers'",
            "hoop connect demo-grpc --listen ",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        assert!(!text.contains('\x1b'), "{text:?}");
        assert!(people(&example(false), "", plain).contains("hoop dev --demo"));
        assert!(people(&example(true), "", Paint::new(true)).contains("\x1b[1mpsql"));
    }

    #[test]
    fn the_folder_is_named_where_it_would_not_be_found() {
        let dir = Path::new("/srv/hoop-dev");
        assert_eq!(option(dir, Path::new("/srv"), false), "");
        assert_eq!(option(dir, dir, false), "");
        assert_eq!(option(dir, Path::new("/home"), false), " --dir /srv/hoop-dev");
        assert_eq!(option(dir, dir, true), " --dir /srv/hoop-dev");
    }

    #[test]
    fn programs_get_one_line() {
        let line = line(&example(true)).to_string();
        assert!(!line.contains('\n') && line.contains(r#""postgres":"127.0.0.1:15432""#), "{line}");
    }
}
