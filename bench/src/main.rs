//! What the gateway costs: a direct connection, pgbouncer, two of them in a row, haproxy, two plain relays in a row, and the
//! gateway, without rules and with all of them, side by side in one run; and the same for SSH, where OpenSSH's `ProxyJump` is
//! the peer; for HTTP, where nginx is; and what the API and the command line take. `bench/run.sh` builds what it measures and
//! starts it.
//!
//! Everything is on the loopback address, on the same cores as the servers: what matters are the differences within a run.
//! The peers take turns in short rounds, so that what else the machine does hits all of them alike.

mod api;
mod copy;
mod goals;
mod http;
mod latency;
mod machine;
mod pgbench;
mod relay;
mod report;
mod sessions;
mod ssh;
mod stand;
mod wire;

use clap::{Parser, Subcommand, ValueEnum};

use http::HttpPart;
use report::{Report, Row};
use stand::Stand;

/// Measures direct connections, the peers and the gateway side by side.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Few rounds and little data: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// What is measured; everything unless given.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Rounds of the latency measurements; each is 200 queries or requests, 150 keys, or 100 calls, on every peer.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How long each run of pgbench is measured, in seconds, behind two that are not; there are three of each.
    #[arg(long, value_name = "SECONDS")]
    pgbench_seconds: Option<u32>,
    /// How much one COPY carries, in megabytes.
    #[arg(long, value_name = "MEGABYTES")]
    copy_megabytes: Option<u64>,
    /// How many sessions are idle at once.
    #[arg(long, value_name = "N", default_value_t = 200)]
    idle_sessions: usize,
    /// How many clients connect and say nothing.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    silent_clients: usize,
    /// How much one transfer over SSH carries, in megabytes. What passes the gateway is recorded, on disk.
    #[arg(long, value_name = "MEGABYTES")]
    ssh_megabytes: Option<u64>,
    /// How many SSH sessions are idle at once, without rules and again with all of them.
    #[arg(long, value_name = "N")]
    ssh_sessions: Option<usize>,
    /// What of HTTP is measured; all of it unless given.
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',')]
    http_only: Vec<HttpPart>,
    /// How much one transfer over HTTP carries, in megabytes.
    #[arg(long, value_name = "MEGABYTES")]
    http_megabytes: Option<u64>,
    /// How many connections over HTTP are idle at once, and how many WebSockets.
    #[arg(long, value_name = "N")]
    http_connections: Option<usize>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Forwards bytes from one port to another: what the cheapest possible hop costs.
    Relay {
        /// The port that it listens on.
        from: u16,
        /// The port that it dials.
        to: u16,
    },
    /// A service that speaks HTTP.
    ServeHttp {
        /// The port that it listens on.
        port: u16,
    },
    /// A service of gRPC.
    ServeGrpc {
        /// The port that it listens on.
        port: u16,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// `SELECT 1` on a warm connection.
    Latency,
    /// `pgbench -S`.
    Pgbench,
    /// `COPY … TO STDOUT`.
    Copy,
    /// Opening sessions, alone and among silent clients.
    Open,
    /// The memory of idle sessions.
    Idle,
    /// The API and the start of `hoop`.
    Api,
    /// SSH: keys and their echo, connecting, transfers, and the memory of idle sessions.
    Ssh,
    /// HTTP: requests by one client and by many, transfers, gRPC, masking, and the memory of idle connections.
    Http,
}

/// Measures one part on every peer.
type Measure = fn(&Stand, &Options) -> Vec<Row>;

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn wants_http(&self, part: HttpPart) -> bool {
        self.http_only.is_empty() || self.http_only.contains(&part)
    }

    /// What was asked for, or the default of a full or a quick run.
    fn or<T: Copy>(&self, given: Option<T>, full: T, quick: T) -> T {
        given.unwrap_or(if self.quick { quick } else { full })
    }
}

fn main() {
    let options = Options::parse();
    match options.command {
        Some(Command::Relay { from, to }) => return relay::run(from, to),
        Some(Command::ServeHttp { port }) => return http::serve(port),
        Some(Command::ServeGrpc { port }) => return http::serve_grpc(port),
        None => {}
    }
    machine::describe();
    for measure in [postgres, ssh::measure, http::measure, api::measure] {
        if let Some(report) = measure(&options) {
            println!("{report}");
            println!("{}", goals::judge(&report));
        }
    }
}

/// The parts that measure PostgreSQL, as far as they are wanted.
fn postgres(options: &Options) -> Option<Report> {
    let parts: [(Part, &str, Measure); 5] = [
        // First, while the processes are as small as they were when they started.
        (Part::Idle, "idle sessions", sessions::idle),
        (Part::Latency, "latency", latency::measure),
        (Part::Open, "opening sessions", sessions::open),
        (Part::Pgbench, "pgbench", pgbench::measure),
        (Part::Copy, "COPY", copy::measure),
    ];
    let mut wanted = parts.into_iter().filter(|(part, ..)| options.wants(*part)).peekable();
    wanted.peek()?;
    eprintln!("starting the servers …");
    let stand = Stand::start();
    let mut report = Report::new(stand.peers.iter().map(|peer| peer.name));
    for (_, name, measure) in wanted {
        eprintln!("measuring {name} …");
        report.rows.extend(measure(&stand, options));
    }
    Some(report)
}
