//! The API and the command line: how soon `hoop` is there, how soon a native client through it is, how many reads the API
//! answers, and what a sign-in costs others.

use std::io::{BufRead as _, BufReader, Error, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hoop_testkit::{Folder, Gateway, Guarded, Postgres, find, hoop, output};
use serde_json::json;

use crate::report::{Report, Row, Unit, quantile};
use crate::stand::{DIRECT, HOOP};
use crate::{Options, Part};

pub(crate) const START: &str = "hoop version, p50";
pub(crate) const CONNECT: &str = "psql to its first byte, p50";
pub(crate) const READS: &str = "API reads, four clients";
pub(crate) const QUIET: &str = "an API read, p99";
pub(crate) const LOGINS: &str = "… while others sign in, p99";

const ROLE: &str = "bench";
/// Clients that read at once.
const READERS: usize = 4;
/// What is read: a list with something in it.
const READ: &str = "/api/v1/sessions?limit=50";

/// Measures all of it, where it is wanted.
pub(crate) fn measure(options: &Options) -> Option<Report> {
    if !options.wants(Part::Api) {
        return None;
    }
    eprintln!("starting a gateway for the API …");
    let stand = Stand::start();
    let mut report = Report::new([DIRECT, HOOP].into_iter());
    let runs = options.or(None, 50, 10);
    let seconds = Duration::from_secs(options.or(None, 10, 2));
    let mut row = |metric, unit, direct, hoop| report.rows.push(Row::new(metric, unit, vec![direct, Some(hoop)]));
    eprintln!("measuring hoop …");
    row(START, Unit::Milliseconds, None, p50(runs, || stand.start_of_hoop()));
    let (direct, through) = (p50(runs, || stand.direct()), p50(runs, || stand.through_hoop()));
    row(CONNECT, Unit::Milliseconds, Some(direct), through);
    eprintln!("measuring the API …");
    row(READS, Unit::PerSecond, None, stand.reads(seconds).len() as f64 / seconds.as_secs_f64());
    // One reader alone, whose own pace is not what is measured.
    let quiet = stand.read_for(seconds);
    row(QUIET, Unit::Milliseconds, None, p99(quiet));
    row(LOGINS, Unit::Milliseconds, None, p99(stand.read_among_logins(seconds)));
    Some(report)
}

/// A gateway without limits to the rate, a role of it, and somebody who has signed in.
struct Stand {
    postgres: Postgres,
    gateway: Gateway,
    _agent: Guarded,
    folder: Folder,
    user: String,
    password: String,
}

impl Stand {
    fn start() -> Self {
        let postgres = Postgres::start();
        let config = "[limits]\nreads_per_minute = 0\nwrites_per_minute = 0\nstrangers_per_minute = 0\n";
        let options = hoop_testkit::Options { processes: true, config: Some(config.to_owned()), ..Default::default() };
        let gateway = Gateway::start(&options);
        let agent = gateway.agent("bench");
        gateway.role(ROLE, "bench", &postgres, |_| {});
        let admin = |field: &str| gateway.ready()["admin"][field].as_str().expect("the line has it").to_owned();
        let (user, password) = (admin("user"), admin("password"));
        let stand = Self { postgres, _agent: agent, folder: Folder::new("bench-api"), user, password, gateway };
        let mut login = stand.hoop(&["login", stand.base(), "--user", &stand.user, "--password-stdin"]);
        output(&mut login, format!("{}\n", stand.password).as_bytes()).ok();
        // The first one warms up, and there is something to list.
        for _ in 0..10 {
            stand.through_hoop();
        }
        stand
    }

    fn base(&self) -> &str {
        self.gateway.ready()["api"].as_str().expect("the line has the API")
    }

    fn hoop(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(hoop());
        command.args(arguments).env("XDG_CONFIG_HOME", self.folder.path()).current_dir(self.folder.path());
        for name in ["HOOP_URL", "HOOP_TOKEN", "HOOP_CONTEXT"] {
            command.env_remove(name);
        }
        command
    }

    fn start_of_hoop(&self) -> Duration {
        first_byte(&mut self.hoop(&["version"]))
    }

    fn direct(&self) -> Duration {
        let mut psql = Command::new(find("psql", "postgresql-client"));
        psql.arg(self.postgres.url("postgres"));
        first_byte(psql.args(["-XAtqc", "select 1"]))
    }

    fn through_hoop(&self) -> Duration {
        first_byte(&mut self.hoop(&["connect", ROLE, "--", "-XAtqc", "select 1"]))
    }

    /// How long each read took, of as many as several clients can make.
    fn reads(&self, time: Duration) -> Vec<Duration> {
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| self.read_for(time))).collect();
            readers.into_iter().flat_map(|reader| reader.join().expect("a reader")).collect()
        })
    }

    fn read_for(&self, time: Duration) -> Vec<Duration> {
        let mut client = Client::dial(self.base()).expect("the API listens");
        let authorization = self.gateway.api().authorization();
        let end = Instant::now() + time;
        let mut times = Vec::new();
        while Instant::now() < end {
            let start = Instant::now();
            let status = client.call("GET", READ, &[&authorization], "").expect("an answer");
            times.push(start.elapsed());
            assert_eq!(status, 200, "{READ}");
        }
        times
    }

    /// As [`read_for`](Self::read_for), while somebody signs in again and again.
    fn read_among_logins(&self, time: Duration) -> Vec<Duration> {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let logins = scope.spawn(|| {
                let mut client = Client::dial(self.base()).expect("the API listens");
                let body = json!({ "user": self.user, "password": self.password }).to_string();
                let mut count = 0;
                while !done.load(Ordering::Relaxed) {
                    let kind = "Content-Type: application/json";
                    let status = client.call("POST", "/api/v1/login", &[kind], &body).expect("an answer");
                    assert_eq!(status, 200, "a login");
                    count += 1;
                }
                count
            });
            let times = self.read_for(time);
            done.store(true, Ordering::Relaxed);
            eprintln!("{} sign-ins meanwhile", logins.join().expect("who signs in"));
            times
        })
    }
}

/// From the start of a program to the first byte that it prints.
fn first_byte(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().expect("it starts");
    let mut out = child.stdout.take().expect("a pipe");
    let printed = out.read(&mut [0; 1]).expect("its output");
    let took = start.elapsed();
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).expect("its output");
    let status = child.wait().expect("its end");
    assert!(printed == 1 && status.success(), "{command:?}: {status}");
    took
}

fn p50(runs: usize, mut run: impl FnMut() -> Duration) -> f64 {
    let mut times: Vec<_> = (0..runs).map(|_| run()).collect();
    quantile(&mut times, 50).as_secs_f64() * 1e3
}

fn p99(mut times: Vec<Duration>) -> f64 {
    quantile(&mut times, 99).as_secs_f64() * 1e3
}

/// HTTP on one connection, with nothing in between that would be measured, too.
struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    fn dial(base: &str) -> Result<Self> {
        let host = base.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let stream = TcpStream::connect(&host)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host })
    }

    /// Sends a request and reads the answer; gives its status.
    fn call(&mut self, method: &str, path: &str, headers: &[&str], body: &str) -> Result<u16> {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut length = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(Error::other)?;
            }
        }
        self.stream.read_exact(&mut vec![0; length])?;
        status.ok_or_else(|| Error::other("no status"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}
