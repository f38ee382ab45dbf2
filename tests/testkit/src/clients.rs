//! Client programs in other languages. `tests/e2e/setup.sh` installs what they need below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::gateway::target;
use crate::{Api, Output, output};

/// A client program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Python, psycopg 3.
    Psycopg,
    /// Python, asyncpg.
    Asyncpg,
    /// JavaScript, node-postgres.
    Node,
    /// Java, pgjdbc.
    Jdbc,
    /// Go, pgx.
    Pgx,
}

impl Client {
    /// Runs a part of the program against a URL.
    ///
    /// # Panics
    /// With the line that installs what is missing.
    pub fn run(self, part: &str, url: &str) -> Output {
        let sources = sources();
        let (program, first) = match self {
            Self::Psycopg => (made("python/bin/python"), vec![sources.join("python/psycopg_client.py")]),
            Self::Asyncpg => (made("python/bin/python"), vec![sources.join("python/asyncpg_client.py")]),
            Self::Node => ("node".into(), vec![sources.join("node/client.cjs")]),
            Self::Jdbc => {
                ("java".into(), vec!["-XX:TieredStopAtLevel=1".into(), "-XX:+UseSerialGC".into(), "Client".into()])
            }
            Self::Pgx => (made("go-client"), vec![]),
        };
        let mut command = Command::new(program);
        command.env("NODE_PATH", made("node/node_modules"));
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
        if self == Self::Jdbc {
            let folder = made("java").display().to_string();
            command.env("CLASSPATH", format!("{folder}:{folder}/*"));
        }
        output(command.args(first).args([part, url]), b"")
    }
}

/// Runs a Python program of the clients' folder in the environment `environment`.
///
/// # Panics
/// With the line that installs what is missing.
pub fn python(environment: &str, program: &str, arguments: &[&str]) -> Output {
    output(&mut python_command(environment, program, arguments), b"")
}

/// What [`python`] runs.
///
/// # Panics
/// With the line that installs what is missing.
pub fn python_command(environment: &str, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(made(&format!("{environment}/bin/python")));
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    command.arg(sources().join("python").join(program)).args(arguments);
    command
}

/// Runs a part of the Go program that calls the service `calls.v1.Calls`, by Go's library for gRPC.
///
/// # Panics
/// With the line that installs what is missing.
pub fn go_grpc(part: &str, address: &str, authority: &str, token: &str) -> Output {
    output(&mut go_grpc_command(part, address, authority, token), b"")
}

/// What [`go_grpc`] runs.
///
/// # Panics
/// With the line that installs what is missing.
pub fn go_grpc_command(part: &str, address: &str, authority: &str, token: &str) -> Command {
    let mut command = Command::new(made("go-grpc-client"));
    command.args([part, address, authority, token]);
    command
}

/// Calls `shop.v1.Customers` by gRPC-Web, and gives what came as JSON: `format` is `connect` (Connect's library), `binary` or `text` (the
/// library `grpc-web`).
///
/// # Panics
/// With the line that installs what is missing.
pub fn grpc_web(format: &str, url: &str, token: &str, descriptors: &str) -> Output {
    let mut command = Command::new("node");
    command.env("NODE_PATH", made("grpc-web/node_modules"));
    output(command.arg(sources().join("grpc-web/client.cjs")).args([format, url, token, descriptors]), b"")
}

/// The program `grpcurl`.
///
/// # Panics
/// With the line that installs what is missing.
pub fn grpcurl() -> PathBuf {
    made("http-tools/grpcurl")
}

/// The program `h2spec`.
///
/// # Panics
/// With the line that installs what is missing.
pub fn h2spec() -> PathBuf {
    made("http-tools/h2spec")
}

/// The program `kosoku`, which tests WebSockets.
///
/// # Panics
/// With the line that installs what is missing.
pub fn kosoku() -> PathBuf {
    made("http/bin/kosoku")
}

/// Runs Ansible's `ping` on a host, with these words on the command line of `ssh`.
///
/// # Panics
/// With the line that installs what is missing.
pub fn ansible_ping(host: &str, ssh: &str) -> Output {
    let mut command = Command::new(made("ssh/bin/ansible"));
    command
        .env("ANSIBLE_HOST_KEY_CHECKING", "true")
        .env("ANSIBLE_NOCOLOR", "1")
        .env("ANSIBLE_LOCALHOST_WARNING", "false");
    command.env("LC_ALL", "C.UTF-8").args(["all", "-i", &format!("{host},"), "-m", "ping"]);
    command.args(["-e", "ansible_python_interpreter=/usr/bin/python3", "--ssh-common-args", ssh]);
    output(&mut command, b"")
}

/// Sends generated requests to every operation of an API's document but the excluded ones, and compares the answers with it.
///
/// # Panics
/// With the line that installs what is missing.
pub fn schemathesis(api: &Api, excluded: &[&str]) -> Output {
    let mut command = Command::new(made("conformance/bin/schemathesis"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1").current_dir(std::env::temp_dir());
    command.args(["run", &format!("{}/api/v1/openapi.json", api.base()), "--header", &api.authorization()]);
    command.args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"]);
    // The same requests each time.
    command.args(["--seed", "1", "--max-examples", "25", "--phases", "examples,coverage,fuzzing", "--no-color"]);
    command.args(["--suppress-health-check", "all", "--warnings", "off"]);
    for operation in excluded {
        command.args(["--exclude-operation-id", operation]);
    }
    output(&mut command, b"")
}

pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/clients")
}

/// Something that `tests/e2e/setup.sh` has installed.
///
/// # Panics
/// When it was not.
pub fn made(name: &str) -> PathBuf {
    let path = target().join("e2e").join(name);
    assert!(path.exists(), "{} is missing; install it with: tests/e2e/setup.sh", path.display());
    path
}
